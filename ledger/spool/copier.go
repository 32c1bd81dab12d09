package spool

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"idem/ledger"
)

// Copier records pieces of an output that was recorded before, each with its time. Unlike a
// Writer, it has an error for a piece that cannot be kept.
type Copier struct {
	create  func() (*os.File, error)
	small   []byte // the whole output so far, while there is no file
	file    *os.File
	to      *bufio.Writer
	scratch []byte
	sum     Summary
}

// NewCopier returns a Copier. It calls create when it needs a file.
func NewCopier(create func() (*os.File, error)) *Copier { return &Copier{create: create} }

// Add records the next piece.
func (c *Copier) Add(p ledger.Chunk) error {
	if len(p.Bytes) > maxFrame || p.Stream > ledger.Stderr || p.Dropped < 0 || p.Dropped == 0 && p.Stream == 0 {
		return fmt.Errorf("%w: a piece of an output", ledger.ErrCorrupt)
	}
	if p.Dropped > 0 {
		var g ledger.Gaps
		g.Add(p.Stream, p.Dropped)
		c.scratch = appendGaps(c.scratch[:0], p.At, g)
	} else {
		c.scratch = appendFrame(c.scratch[:0], byte(p.Stream), p.At, p.Bytes)
	}
	c.sum.Bytes += int64(len(p.Bytes)) + p.Dropped
	c.sum.Truncated = c.sum.Truncated || p.Dropped > 0
	c.sum.Sum = sumHeaders(c.sum.Sum, c.scratch)
	if c.file == nil && len(c.small)+len(c.scratch) <= InlineMax {
		c.small = append(c.small, c.scratch...)
		return nil
	}
	if err := c.Spill(); err != nil {
		return err
	}
	c.sum.Size += int64(len(c.scratch))
	_, err := c.to.Write(c.scratch)
	return err
}

// Spill keeps the output in a file, also if it is small.
func (c *Copier) Spill() (err error) {
	if c.file != nil {
		return nil
	}
	if c.file, err = c.create(); err != nil {
		return err
	}
	c.to = bufio.NewWriterSize(c.file, 64<<10)
	c.sum.Size = int64(len(c.small))
	_, err = c.to.Write(c.small)
	c.small = nil
	return err
}

// Close ends the recording. The content of a file is durable then.
func (c *Copier) Close() (Summary, error) {
	if c.file == nil {
		if c.sum.Inline = c.small; c.small == nil {
			c.sum.Inline = []byte{}
		}
		return c.sum, nil
	}
	return c.sum, errors.Join(c.to.Flush(), c.file.Sync(), c.file.Close())
}

// Discard ends a recording that is not needed.
func (c *Copier) Discard() {
	if c.file != nil {
		_ = c.file.Close()
	}
}
