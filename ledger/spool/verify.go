package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"idem/ledger"
)

// Check implements ledger.Output. With it, a replay shows either the complete recording
// or nothing.
func (r *Reader) Check() (ledger.Gaps, error) {
	if !r.done || r.checked {
		return r.gaps, nil
	}
	if err := r.verify(); err != nil {
		return ledger.Gaps{}, err
	}
	r.checked = true
	// With --max-output 0, earlier versions recorded a single inline gap of an unknown
	// stream.
	if r.file == nil && r.size == headerSize+8 && r.gaps.Unknown > 0 {
		r.gaps = ledger.Gaps{Unwanted: true}
	}
	return r.gaps, nil
}

// verify reads everything once, compares all checksums and adds up the gaps.
func (r *Reader) verify() error {
	r.offset, r.gaps = 0, ledger.Gaps{}
	if r.file != nil {
		info, err := r.file.Stat()
		if err != nil {
			return err
		}
		if info.Size() != r.size {
			return fmt.Errorf("%w: the recorded output has %d bytes, not %d", ledger.ErrCorrupt, info.Size(), r.size)
		}
	}
	large := checkers{src: r.src}
	sum, err := r.walk(&large)
	if e := large.end(); err == nil {
		err = r.end(e)
	}
	if err == nil && sum != r.sum {
		err = fmt.Errorf("%w: the recorded output is not the one of this attempt", ledger.ErrCorrupt)
	}
	r.offset = 0
	return err
}

// walk goes from header to header. It checks small frames itself and gives large ones to
// large. It returns the checksum over all headers.
func (r *Reader) walk(large *checkers) (sum uint32, err error) {
	for r.offset < r.size {
		b, err := r.bytes(r.offset, headerSize)
		if err != nil {
			return 0, r.end(err)
		}
		sum = crc32.Update(sum, crc32.IEEETable, b[:summed])
		h, err := parseHeader(b)
		if err != nil {
			return 0, err
		}
		if h.length < sendMin {
			c, err := r.Next()
			if err != nil {
				return 0, err
			}
			if c.Dropped > 0 {
				r.gaps.Add(c.Stream, c.Dropped)
			}
			continue
		}
		if !large.check(h, r.offset+headerSize) {
			break // large.end returns the error
		}
		r.offset += headerSize + int64(h.length)
	}
	return sum, nil
}

// checkers check large frames, several at the same time. Where the kernel copies, reading
// the frames for a check takes longer than sending them.
type checkers struct {
	src   io.ReaderAt
	work  chan frame // nil before the first frame
	group sync.WaitGroup

	mu  sync.Mutex
	err error // the first error
}

// frame is a header and the offset of its payload.
type frame struct {
	header
	at int64
}

// check queues a frame, which is checked before end returns. It returns false when
// damage was found in a frame so far.
func (c *checkers) check(h header, at int64) bool {
	if c.work == nil {
		c.work = make(chan frame)
		for range min(runtime.GOMAXPROCS(0), 4) {
			c.group.Go(c.run)
		}
	}
	c.work <- frame{h, at}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil
}

func (c *checkers) run() {
	var buf []byte
	for f := range c.work {
		if len(buf) < f.length {
			buf = make([]byte, f.length)
		}
		p := buf[:f.length]
		n, err := c.src.ReadAt(p, f.at)
		switch {
		case n == len(p):
			_, err = f.chunk(p)
		case errors.Is(err, io.EOF):
			err = errTorn
		}
		if err != nil {
			c.mu.Lock()
			if c.err == nil {
				c.err = err
			}
			c.mu.Unlock()
		}
	}
}

// end waits for all checks and returns the first error.
func (c *checkers) end() error {
	if c.work == nil {
		return nil
	}
	close(c.work)
	c.group.Wait()
	return c.err
}
