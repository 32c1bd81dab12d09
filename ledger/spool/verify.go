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
	v := verifier{r: r}
	v.run()
	v.helpers.Wait()
	r.offset = 0
	if v.err == nil && v.sum != r.sum {
		v.err = fmt.Errorf("%w: the recorded output is not the one of this attempt", ledger.ErrCorrupt)
	}
	return v.err
}

// verifier checks a finished recording. Where the kernel copies, reading the frames for a check
// takes longer than sending them. So several goroutines check large frames in parallel. Each
// finds its next frame itself, and waits for no other goroutine to read a payload.
type verifier struct {
	mu      sync.Mutex
	r       *Reader
	sum     uint32 // over the headers so far
	err     error  // the first error
	helped  bool   // the helpers are started
	helpers sync.WaitGroup
}

// frame is a header and the offset of its payload.
type frame struct {
	header
	at int64
}

// run checks frames until none is left or damage was found.
func (v *verifier) run() {
	var buf []byte
	for {
		f, more := v.next()
		if !more {
			return
		}
		if buf == nil {
			buf = make([]byte, checkRead)
		}
		if err := v.check(f, buf); err != nil {
			v.mu.Lock()
			v.fail(err)
			v.mu.Unlock()
			return
		}
	}
}

// checkRead is the size of a read for a check. The bytes are still in the CPU's cache when
// their checksum is computed.
const checkRead = 128 << 10

// check reads the payload of a frame and compares its checksum.
func (v *verifier) check(f frame, buf []byte) error {
	sum := uint32(0)
	for read := 0; read < f.length; {
		p := buf[:min(len(buf), f.length-read)]
		n, err := v.r.src.ReadAt(p, f.at+int64(read))
		switch {
		case n == len(p):
		case errors.Is(err, io.EOF):
			return errTorn
		default:
			return err
		}
		sum = updateSum(sum, p, f.poly)
		read += n
	}
	return f.compare(sum)
}

// fail keeps the first error.
func (v *verifier) fail(err error) {
	if v.err == nil {
		v.err = v.r.end(err)
	}
}

// next goes from header to header until the next large frame, and returns it. It checks small
// frames itself. At the end of the recording, and after an error, it returns false.
func (v *verifier) next() (frame, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.r
	for v.err == nil && r.offset < r.size {
		h, err := v.header()
		if err != nil {
			v.fail(err)
			break
		}
		if h.length < largeFrame {
			if err := v.small(); err != nil {
				v.fail(err)
			}
			continue
		}
		f := frame{h, r.offset + headerSize}
		r.offset = f.at + int64(h.length)
		if !v.helped && r.offset < r.size {
			v.helped = true
			for range min(runtime.GOMAXPROCS(0), 4) - 1 {
				v.helpers.Go(v.run)
			}
		}
		return f, true
	}
	return frame{}, false
}

// header returns the header at r.offset and adds it to the sum.
func (v *verifier) header() (header, error) {
	b, err := v.r.bytes(v.r.offset, headerSize)
	if err != nil {
		return header{}, err
	}
	v.sum = crc32.Update(v.sum, crc32.IEEETable, b[:summed])
	return parseHeader(b)
}

// small checks the small frame at r.offset and counts a gap.
func (v *verifier) small() error {
	c, err := v.r.Next()
	if c.Dropped > 0 {
		v.r.gaps.Add(c.Stream, c.Dropped)
	}
	return err
}
