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
	place func() (proc.Backlog, error) // makes large
	small []byte                       // the whole output, up to inMemory bytes
	large proc.Backlog                 // the whole output if it is longer
	size  int64                        // of large
	err   error                        // why the output is not complete
}

func (c *capture) write(p []byte) {
	if c.err != nil {
		return
	}
	if c.large == nil && len(c.small)+len(p) <= inMemory {
		c.small = append(c.small, p...)
		return
	}
	if c.large == nil {
		if c.large, c.err = c.place(); c.err != nil {
			return
		}
		small := c.small
		c.small = nil
		c.spill(small)
	}
	c.spill(p)
}

func (c *capture) spill(p []byte) {
	if c.err == nil {
		_, c.err = c.large.WriteAt(p, c.size)
		c.size += int64(len(p))
	}
}

func (c *capture) reader() io.Reader {
	if c.large == nil {
		return bytes.NewReader(c.small)
	}
	return io.NewSectionReader(c.large, 0, c.size)
}

func (c *capture) close() {
	if c.large != nil {
		_ = c.large.Close()
	}
}
