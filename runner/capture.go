package runner

import (
	"bytes"
	"io"

	"idem/proc"
)

// inMemory is how many bytes of output a probe or a quiet command may print before
// they are kept in a file instead of in memory. Most print less. A ledger keeps as
// much of a command in memory, so longer output has a file in any case.
const inMemory = 32 << 10

// capture keeps what a probe prints until it is known whether that counts.
type capture struct {
	place func() (proc.Backlog, error)
	small []byte
	large proc.Backlog // all of it, when it is more than small may be
	size  int64
	err   error // why not all of it is kept
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
