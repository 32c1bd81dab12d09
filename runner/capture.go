package runner

import (
	"bytes"
	"io"

	"idem/proc"
)

// inMemory is the number of bytes of output that a probe or a quiet command may
// print before a file replaces memory. Most print less. A ledger keeps as many
// bytes of a command in memory, so longer output is in a file anyway.
const inMemory = 32 << 10

// capture keeps the output of a probe until its exit status says whether the output
// counts.
type capture struct {
	newFile func() (proc.Backlog, error) // makes file
	memory  []byte                       // the whole output, up to inMemory bytes
	file    proc.Backlog                 // the whole output if it is longer
	size    int64                        // of file
	err     error                        // why the output is not complete
}

func (c *capture) write(p []byte) {
	if c.err != nil {
		return
	}
	if c.file == nil && len(c.memory)+len(p) <= inMemory {
		c.memory = append(c.memory, p...)
		return
	}
	if c.file == nil {
		if c.file, c.err = c.newFile(); c.err != nil {
			return
		}
		memory := c.memory
		c.memory = nil
		c.spill(memory)
	}
	c.spill(p)
}

func (c *capture) spill(p []byte) {
	if c.err == nil {
		_, c.err = c.file.WriteAt(p, c.size)
		c.size += int64(len(p))
	}
}

func (c *capture) reader() io.Reader {
	if c.file == nil {
		return bytes.NewReader(c.memory)
	}
	return io.NewSectionReader(c.file, 0, c.size)
}

func (c *capture) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
}
