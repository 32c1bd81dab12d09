package items

import (
	"bytes"
	"errors"
	"io"
)

// lines reads the lines of an input. It returns a line as soon as the input has it.
type lines struct {
	in    io.Reader
	sep   byte
	limit int // the maximum length of a line

	buf        []byte
	start, end int   // of the bytes in buf that were read and not returned
	pos        int64 // of start in the input
	fault      error // of the input, io.EOF at its end

	nuls bool // a part of the line that was dropped contains a NUL byte
	no   int  // of the last line, from 1
	crlf bool // the first line ends with CR LF
}

// line is one line of an input.
type line struct {
	no   int
	end  int64
	text []byte // valid until the next line is read; without the newline
	// open reports whether the input ends in the line.
	open bool
	long bool // the line is longer than the limit, and text is empty
	nuls bool // it is long and contains a NUL byte
}

func newLines(in io.Reader, sep byte, limit int) *lines {
	return &lines{in: in, sep: sep, limit: limit, buf: make([]byte, 64<<10)}
}

// next returns the next line, or the fault of the input. A fault other than io.EOF also
// hides the start of a line before it, because the rest of that line is unknown.
func (l *lines) next() (line, error) {
	long := false
	for seen := l.start; ; {
		if i := bytes.IndexByte(l.buf[seen:l.end], l.sep); i >= 0 {
			return l.cut(seen+i, 1, long), nil
		}
		if l.end-l.start > l.limit+1 { // a CR at its end does not count
			long = true
			l.drop()
		}
		seen = l.end
		if l.fault != nil {
			if errors.Is(l.fault, io.EOF) && (l.end > l.start || long) {
				return l.cut(l.end, 0, long), nil
			}
			return line{}, l.fault
		}
		seen -= l.fill()
	}
}

// cut returns the line up to end, where the newline begins.
func (l *lines) cut(end, newline int, long bool) line {
	l.no++
	text := l.buf[l.start:end]
	l.pos += int64(end + newline - l.start)
	l.start = end + newline
	if l.sep == '\n' {
		if l.no == 1 {
			l.crlf = newline > 0 && bytes.HasSuffix(text, []byte("\r"))
		}
		if l.crlf {
			text = bytes.TrimSuffix(text, []byte("\r"))
		}
	}
	ln := line{no: l.no, end: l.pos, text: text, open: newline == 0, long: long || len(text) > l.limit}
	if ln.long {
		ln.nuls = l.nuls || bytes.IndexByte(text, 0) >= 0
		ln.text, l.nuls = nil, false
	}
	return ln
}

// drop forgets the start of a line that is too long. It keeps the last byte, which may be
// the CR before a newline.
func (l *lines) drop() {
	l.nuls = l.nuls || bytes.IndexByte(l.buf[l.start:l.end], 0) >= 0
	l.pos += int64(l.end - 1 - l.start)
	l.buf[0] = l.buf[l.end-1]
	l.start, l.end = 0, 1
}

// fill reads on and returns the number of bytes by which it moved those in the buffer.
func (l *lines) fill() (moved int) {
	if l.end == len(l.buf) {
		if moved = l.start; moved > 0 {
			copy(l.buf, l.buf[l.start:l.end])
			l.start, l.end = 0, l.end-moved
		} else {
			l.buf = append(l.buf, make([]byte, len(l.buf))...)
		}
	}
	for range 100 {
		n, err := l.in.Read(l.buf[l.end:])
		l.end += n
		if err != nil {
			l.fault = err
		}
		if n > 0 || err != nil {
			return moved
		}
	}
	l.fault = io.ErrNoProgress
	return moved
}
