package spool

import (
	"hash/crc32"
	"os"
	"sync"
	"time"

	"idem/ledger"
)

const (
	// InlineMax is the maximum size in bytes, frame headers included, of an output
	// that is kept in memory and stored next to its record. A larger output is faster
	// to write and to replay in a file.
	InlineMax = 32 << 10
	// tailMax is the maximum number of bytes that are kept of the end of an output
	// over the limit.
	tailMax = 1 << 20
	// spillAfter is the time after which a small output is also written to the file.
	// There, another process can follow it, and a kill -9 does not lose it.
	spillAfter = time.Second
)

// Summary describes the recording of a Writer.
type Summary struct {
	Bytes     int64  // written by the command, kept or not
	Truncated bool   // not all of them are kept
	Inline    []byte // the whole encoded output, when it is small; else nil
	Size      int64  // bytes in the file; 0 with Inline
	Sum       uint32 // checksum over the frame headers, in order
}

// Writer records the output of one attempt. It never fails: bytes that cannot be kept
// are counted. Memory is bounded by InlineMax and 4 tailMax.
type Writer struct {
	create func() (*os.File, error)
	start  time.Time

	mu      sync.Mutex
	timer   *time.Timer
	file    *os.File
	broken  bool // the file cannot take more
	closed  bool
	small   []byte // the whole output so far, while it fits in InlineMax
	large   bool   // the output does not fit; small is no longer used
	head    int64  // bytes that may still be added to the head
	tail    tail
	missed  ledger.Gaps // the gaps given to Miss
	sum     Summary
	back    writeBack
	scratch []byte
}

// NewWriter returns a writer that keeps at most limit bytes of output. It keeps the head
// and up to 1 MiB of the end of a longer output. With a negative limit, it keeps all.
// The writer calls create when it needs a file. start is the time at which the attempt
// started.
func NewWriter(limit int64, start time.Time, create func() (*os.File, error)) *Writer {
	w := &Writer{create: create, start: start, head: 1<<63 - 1}
	if limit >= 0 {
		w.tail.limit = min(tailMax, limit/2)
		w.head = limit - w.tail.limit
	}
	return w
}

// Write records one piece of output.
func (w *Writer) Write(s ledger.Stream, p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := time.Since(w.start)
	if w.timer == nil && !w.large {
		w.timer = time.AfterFunc(max(0, spillAfter-at), w.spillNow)
	}
	w.sum.Bytes += int64(len(p))
	for len(p) > 0 {
		n := min(len(p), maxFrame)
		if w.head > 0 {
			n = int(min(int64(n), w.head))
			w.head -= int64(n)
			w.keep(byte(s), at, p[:n])
		} else {
			w.tail.add(byte(s), at, p[:n])
		}
		p = p[n:]
	}
}

// Written returns the number of bytes at the beginning of the file that no longer change. It is 0
// after Close for an output that is in the Summary.
func (w *Writer) Written() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sum.Size
}

// Miss counts output that the command wrote but that was not given to Write. It becomes
// a gap at the end of the recording.
func (w *Writer) Miss(g ledger.Gaps) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sum.Bytes += g.Total()
	w.missed.Stdout += g.Stdout
	w.missed.Stderr += g.Stderr
	w.missed.Unknown += g.Unknown
}

// keep stores a frame of the head. It stores the frame in memory while the whole output
// fits in InlineMax, and also in the file if there is one.
func (w *Writer) keep(s byte, at time.Duration, p []byte) {
	if !w.large {
		if len(w.small)+headerSize+len(p) <= InlineMax {
			from := len(w.small)
			w.small = appendFrame(w.small, s, at, p)
			w.append(w.small[from:])
			return
		}
		w.large = true
		w.spill()
		if w.broken {
			w.overflow(w.small[w.sum.Size:]) // the file has the first Size bytes of small
		}
		w.small = nil
	}
	h := appendHeader(w.scratch[:0], s, 0, at, p)
	w.scratch = h
	if !w.appendParts(h, p) {
		w.overflow(append(h, p...))
	}
}

// overflow ends the head, because the file cannot grow. The frames and all later output
// are handled like output over the limit, so that at least the end may be kept.
func (w *Writer) overflow(frames []byte) {
	w.head = 0
	if w.tail.limit == 0 {
		w.tail.limit = tailMax
	}
	for len(frames) > 0 {
		h, err := parseHeader(frames)
		if err != nil {
			return // unreachable: this writer encoded the frames
		}
		w.tail.add(h.stream, h.at, frames[headerSize:headerSize+h.length])
		frames = frames[headerSize+h.length:]
	}
}

// spill creates the file and writes small to it.
func (w *Writer) spill() {
	if w.file != nil || w.broken {
		return
	}
	f, err := w.create()
	if err != nil {
		w.broken = true
		return
	}
	w.file = f
	w.append(w.small)
}

func (w *Writer) spillNow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.small) > 0 && !w.large && !w.closed {
		w.spill()
	}
}

// append writes whole frames to the file with one write. It reports whether it
// succeeded. If not, the file has none of the frames.
func (w *Writer) append(frames []byte) bool {
	if !w.write(func(f *os.File, at int64) error { _, err := f.WriteAt(frames, at); return err }, len(frames)) {
		return false
	}
	w.sum.Sum = sumHeaders(w.sum.Sum, frames)
	return true
}

// appendParts is append for one frame whose header h and payload p are apart.
func (w *Writer) appendParts(h, p []byte) bool {
	if !w.write(func(f *os.File, at int64) error { return writeParts(f, h, p, at) }, len(h)+len(p)) {
		return false
	}
	w.sum.Sum = crc32.Update(w.sum.Sum, crc32.IEEETable, h[:summed])
	return true
}

// write calls do, which writes n bytes at the end of the file.
func (w *Writer) write(do func(f *os.File, at int64) error, n int) bool {
	if w.file == nil || w.broken {
		return false
	}
	if do(w.file, w.sum.Size) != nil {
		w.broken = true
		// Remove a torn frame, so that the file ends with a whole frame for a reader.
		_ = w.file.Truncate(w.sum.Size)
		return false
	}
	w.sum.Size += int64(n)
	w.back.grown(w.file, w.sum.Size)
	return true
}

// Close ends the recording and returns its summary. With sync, the content of a file is
// durable when Close returns without an error. With an error, the content may not be
// durable, but the summary is valid.
func (w *Writer) Close(sync bool) (Summary, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.sum, nil
	}
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	end := w.tail.end()
	w.sum.Truncated = w.tail.dropped.Total()+w.missed.Total() > 0
	if end = appendGaps(end, time.Since(w.start), w.missed); len(end) > 0 {
		w.close(end)
	}
	if !w.large {
		w.sum.Inline, w.sum.Size = w.small, 0
		if w.sum.Inline == nil {
			w.sum.Inline = []byte{}
		}
		w.sum.Sum = sumHeaders(0, w.sum.Inline)
		return w.sum, w.closeFile(false)
	}
	return w.sum, w.closeFile(sync)
}

// close stores the end of an output whose middle was dropped.
func (w *Writer) close(end []byte) {
	if !w.large && len(w.small)+len(end) <= InlineMax {
		w.small = append(w.small, end...)
		w.append(end) // for a reader that follows the file, if there is one
		return
	}
	rest := end
	if !w.large {
		w.spill()
		w.large = true
		rest = append(w.small[w.sum.Size:], end...) // the file has the first Size bytes of small
		w.small = nil
	}
	// Try again, because a full disk may have room by now, or room for the gap alone.
	w.broken = w.file == nil
	if w.append(rest) {
		return
	}
	w.broken = w.file == nil
	w.sum.Truncated = true
	w.append(appendGaps(nil, w.tail.lastAt, outputIn(rest)))
}

func (w *Writer) closeFile(sync bool) error {
	if w.file == nil {
		return nil
	}
	w.back.wait()
	defer w.file.Close()
	if sync {
		return w.file.Sync()
	}
	return nil
}

// tail keeps the last bytes of a sequence of frames in two buffers. When the newer
// buffer is full, the older one is dropped.
type tail struct {
	limit      int64
	older, new []byte // encoded frames
	inOlder    int64  // bytes of output in older
	inNew      int64  // bytes of output in new
	dropped    ledger.Gaps
	lastAt     time.Duration
}

func (t *tail) kept() int64 { return t.inOlder + t.inNew }

func (t *tail) add(s byte, at time.Duration, p []byte) {
	t.lastAt = at
	if t.limit == 0 {
		t.dropped.Add(ledger.Stream(s), int64(len(p)))
		return
	}
	// The second condition bounds the memory for the headers of tiny frames.
	if t.inNew >= t.limit || len(t.new) >= 2*tailMax {
		t.drop(t.older)
		t.older, t.new = t.new, t.older[:0]
		t.inOlder, t.inNew = t.inNew, 0
	}
	t.new = appendFrame(t.new, s, at, p)
	t.inNew += int64(len(p))
}

// drop counts the output in whole frames as dropped. It does not verify the payloads.
func (t *tail) drop(frames []byte) {
	for len(frames) >= headerSize {
		h, err := parseHeader(frames)
		if err != nil {
			return // unreachable: this tail encoded the frames
		}
		t.dropped.Add(ledger.Stream(h.stream), int64(h.length))
		frames = frames[headerSize+h.length:]
	}
}

// end returns the frames at the end of the output: the gaps of the dropped bytes, if
// any, and the last limit bytes.
func (t *tail) end() []byte {
	frames := append(t.older, t.new...)
	excess := t.kept() - t.limit
	var first []byte // the kept rest of a frame that is dropped in part
	for excess > 0 {
		h, err := parseHeader(frames)
		if err != nil {
			break // unreachable: this tail encoded the frame
		}
		p := frames[headerSize : headerSize+h.length]
		frames = frames[headerSize+h.length:]
		n := min(excess, int64(h.length))
		if n < int64(h.length) {
			first = appendFrame(nil, h.stream, h.at, p[n:])
		}
		excess -= n
		t.dropped.Add(ledger.Stream(h.stream), n)
	}
	end := appendGaps(nil, t.lastAt, t.dropped)
	return append(append(end, first...), frames...)
}

// sumHeaders continues a checksum over the headers of whole frames.
func sumHeaders(sum uint32, frames []byte) uint32 {
	for len(frames) >= headerSize {
		h, err := parseHeader(frames)
		if err != nil {
			break
		}
		sum = crc32.Update(sum, crc32.IEEETable, frames[:summed])
		frames = frames[headerSize+h.length:]
	}
	return sum
}

// outputIn returns the number of output bytes of each stream in whole frames: those of
// the payloads and those that gaps count.
func outputIn(frames []byte) (g ledger.Gaps) {
	for len(frames) >= headerSize {
		h, err := parseHeader(frames)
		if err != nil {
			break // unreachable: the writer encoded the frames
		}
		c, err := h.chunk(frames[headerSize : headerSize+h.length])
		if err != nil {
			break
		}
		g.Add(c.Stream, int64(len(c.Bytes))+c.Dropped)
		frames = frames[headerSize+h.length:]
	}
	return g
}
