package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"idem/internal/fdio"
	"idem/ledger"
)

// Reader reads recorded output. It implements ledger.Output.
type Reader struct {
	open func() (*os.File, error) // for Follow: the file may not exist yet
	src  io.ReaderAt
	file *os.File // src, when it is a file
	// done reports whether the recording is finished. Then src must hold exactly
	// size bytes, and the checksum of its frame headers must be sum.
	done bool
	size int64
	sum  uint32
	// checked is set when Check has found the whole recording to be undamaged. Its
	// gaps are then in gaps.
	checked bool
	gaps    ledger.Gaps

	offset  int64
	buf     []byte
	ahead   []byte // a part of buf: the content of src from aheadAt on
	aheadAt int64
}

// readAhead is the minimum number of bytes to read at once. Frames can be as short as a
// line of output. Without it, the reads of each header and each piece would dominate the
// cost of a replay.
const readAhead = 4 << 10

// OpenInline returns a reader of a Summary's Inline bytes.
func OpenInline(b []byte, sum uint32) *Reader {
	return &Reader{src: bytes.NewReader(b), done: true, size: int64(len(b)), sum: sum}
}

// Removed returns a reader of an output of n bytes that was removed at a time.
func Removed(at time.Time, n int64) *Reader {
	r := OpenInline(nil, 0)
	r.checked, r.gaps = true, ledger.Gaps{Unknown: n, Removed: at}
	return r
}

// OpenFile returns a reader of a finished file of the given size and sum. It
// owns f.
func OpenFile(f *os.File, size int64, sum uint32) *Reader {
	return &Reader{src: f, file: f, done: true, size: size, sum: sum}
}

// Follow returns a reader of an unfinished file. The file may not exist yet, may grow, or
// may never be finished. The reader calls open until it succeeds.
func Follow(open func() (*os.File, error)) *Reader { return &Reader{open: open} }

// Close closes the file.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// Next implements ledger.Output. For an unfinished file, io.EOF means that there is no
// complete piece yet.
func (r *Reader) Next() (ledger.Chunk, error) {
	h, err := r.header()
	if err != nil {
		return ledger.Chunk{}, r.end(err)
	}
	p, err := r.bytes(r.offset+headerSize, h.length)
	if err != nil {
		return ledger.Chunk{}, r.end(err)
	}
	c, err := h.chunk(p)
	if err != nil {
		return ledger.Chunk{}, err
	}
	r.offset += headerSize + int64(h.length)
	return c, nil
}

func (r *Reader) header() (header, error) {
	if r.done && r.offset >= r.size {
		return header{}, io.EOF
	}
	if r.src == nil {
		f, err := r.open()
		if errors.Is(err, os.ErrNotExist) {
			return header{}, io.EOF
		}
		if err != nil {
			return header{}, err
		}
		r.src, r.file = f, f
	}
	if !r.done {
		r.ahead = nil // the writer may have cut off a torn frame and written another one
	}
	b, err := r.bytes(r.offset, headerSize)
	if err != nil {
		return header{}, err
	}
	return parseHeader(b)
}

// end converts errTorn: to ledger.ErrCorrupt for a finished recording, else to io.EOF.
func (r *Reader) end(err error) error {
	if errors.Is(err, errTorn) {
		if r.done {
			return fmt.Errorf("%w: the recorded output is shorter than it was", ledger.ErrCorrupt)
		}
		return io.EOF
	}
	return err
}

// bytes returns n bytes of src from off on, which are valid until the next call. The
// error is errTorn when src has fewer bytes.
func (r *Reader) bytes(off int64, n int) ([]byte, error) {
	if from := off - r.aheadAt; from >= 0 && from+int64(n) <= int64(len(r.ahead)) {
		return r.ahead[from : from+int64(n)], nil
	}
	want := max(n, readAhead)
	if len(r.buf) < want {
		r.buf = make([]byte, max(want, 64<<10))
	}
	got, err := r.src.ReadAt(r.buf[:want], off)
	r.ahead, r.aheadAt = r.buf[:got], off
	switch {
	case got >= n:
		return r.buf[:n], nil
	case errors.Is(err, io.EOF):
		return nil, errTorn
	default:
		return nil, err
	}
}

// Replay implements ledger.Output.
func (r *Reader) Replay(stdout, stderr *os.File) error {
	if _, err := r.Check(); err != nil {
		return err
	}
	out := [...]*target{ledger.Stdout: {f: stdout}, ledger.Stderr: {f: stderr}}
	var pending []byte
	var to *target
	flush := func() {
		if to != nil && len(pending) > 0 {
			to.write(pending)
		}
		pending = pending[:0]
	}
	end := func(err error) error {
		flush()
		if err := r.end(err); !errors.Is(err, io.EOF) {
			return err
		}
		if e := (ledger.WriteErrors{Stdout: out[ledger.Stdout].err, Stderr: out[ledger.Stderr].err}); e != (ledger.WriteErrors{}) {
			return e
		}
		return nil
	}
	for {
		h, err := r.header()
		if err != nil {
			return end(err)
		}
		at := r.offset + headerSize
		if h.stream == gapStream || out[h.stream].closed() {
			r.offset = at + int64(h.length)
			continue
		}
		if to != out[h.stream] || len(pending) >= 64<<10 {
			flush()
			to = out[h.stream]
		}
		if r.done && r.file != nil && h.length >= largeFrame { // Check has verified the payload
			flush()
			to.send(r.file, at, h.length)
			r.offset = at + int64(h.length)
			continue
		}
		c, err := r.Next()
		if err != nil {
			return end(err)
		}
		pending = append(pending, c.Bytes...)
	}
}

// target is one stream of a replay. After its first error, it ignores further output.
type target struct {
	f     *os.File
	grown bool
	err   error
}

func (t *target) closed() bool { return t.f == nil || t.err != nil }

func (t *target) write(p []byte) {
	if !t.closed() {
		t.err = fdio.WriteAll(t.f, p)
	}
}

func (t *target) send(src *os.File, off int64, n int) {
	if t.closed() {
		return
	}
	if !t.grown { // not earlier, because most replays are small
		// With the initial 64 KiB of a pipe, two processes spend most of the time
		// waiting for each other, and sending takes twice as long.
		t.grown = true
		fdio.GrowPipe(int(t.f.Fd()))
	}
	if t.err = sendFile(t.f, src, off, int64(n)); errors.Is(t.err, errTorn) { // Check has found it complete
		t.err = fmt.Errorf("%w: the recorded output became shorter while it was read", ledger.ErrCorrupt)
	}
}

// copyFile is sendFile for targets that the kernel cannot copy to.
func copyFile(dst, src *os.File, off, n int64) error {
	_, err := io.Copy(writer{dst}, io.NewSectionReader(src, off, n))
	return err
}

// writer is fdio.WriteAll as an io.Writer.
type writer struct{ f *os.File }

func (w writer) Write(p []byte) (int, error) {
	if err := fdio.WriteAll(w.f, p); err != nil {
		return 0, err
	}
	return len(p), nil
}
