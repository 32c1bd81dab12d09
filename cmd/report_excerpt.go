package cmd

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// The sizes of the parts of a long output that an excerpt keeps. A caller that is a
// language model has room for about that much.
const (
	excerptHead = 48 << 10
	excerptTail = 16 << 10
)

// excerpt is the beginning and the end of an output. Its memory is bounded.
type excerpt struct {
	head, tail []byte
	size       int64 // of the whole output
}

func (e *excerpt) add(p []byte) {
	e.size += int64(len(p))
	n := min(len(p), excerptHead-len(e.head))
	e.head = append(e.head, p[:n]...)
	if p = p[n:]; len(p) > excerptTail {
		p = p[len(p)-excerptTail:]
	}
	e.tail = append(e.tail, p...)
	if extra := len(e.tail) - excerptTail; extra >= excerptTail { // not at each add, because it moves bytes
		e.tail = append(e.tail[:0], e.tail[extra:]...)
	}
}

// excerptView is an output in JSON. Text is the whole output and Tail is empty, or Text
// is its beginning, Tail its end, and Omitted counts the bytes between them.
type excerptView struct {
	Text     string `json:"text"`
	Encoding string `json:"encoding"` // of Text and Tail: utf-8, or base64 if one of them is not UTF-8
	Bytes    int64  `json:"bytes"`
	Omitted  int64  `json:"omitted"`
	Tail     string `json:"tail"`
}

func (e *excerpt) view() excerptView {
	v := excerptView{Encoding: "utf-8", Bytes: e.size}
	head, tail := e.head, e.tail[max(0, len(e.tail)-excerptTail):]
	if e.size <= excerptHead+excerptTail {
		head, tail = append(head[:len(head):len(head)], tail...), nil
	}
	// A character at the edge of the gap belongs to the gap.
	whole, rest := head, tail
	if e.size > int64(len(head)+len(tail)) {
		whole, rest = withoutCutEnd(head), withoutCutStart(tail)
	}
	if utf8.Valid(whole) && utf8.Valid(rest) {
		v.Text, v.Tail = string(whole), string(rest)
	} else {
		whole, rest = head, tail
		v.Encoding, v.Text, v.Tail = "base64", base64.StdEncoding.EncodeToString(head), base64.StdEncoding.EncodeToString(tail)
	}
	v.Omitted = e.size - int64(len(whole)+len(rest))
	return v
}

// withoutCutEnd returns p without a character of UTF-8 at its end that is not complete.
func withoutCutEnd(p []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if last := p[len(p)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				return p[:len(p)-n]
			}
			break
		}
	}
	return p
}

// withoutCutStart returns p without the end of a character of UTF-8 at its start.
func withoutCutStart(p []byte) []byte {
	for n := 0; n < utf8.UTFMax && n < len(p); n++ {
		if utf8.RuneStart(p[n]) {
			return p[n:]
		}
	}
	return p
}

// excerptPipe is a pipe in place of an output stream, of which an excerpt is kept.
type excerptPipe struct {
	read, write *os.File
	excerpt     excerpt
	done        chan struct{} // closed when the reader has ended
}

func newExcerptPipe() (*excerptPipe, error) {
	r, w, err := os.Pipe() // close-on-exec
	if err != nil {
		return nil, err
	}
	p := &excerptPipe{read: r, write: w, done: make(chan struct{})}
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("cannot wait for a pipe: %w", err)
	}
	go p.copy()
	return p, nil
}

func (p *excerptPipe) copy() {
	defer close(p.done)
	buf := make([]byte, 32<<10)
	for {
		n, err := p.read.Read(buf)
		p.excerpt.add(buf[:n])
		if err != nil {
			return
		}
	}
}

// end returns the excerpt of all that was written until now.
//
// The write end stays open. A fatal signal makes the runner return while it may still
// write to that descriptor, and after a close, the number could be that of another
// file.
func (p *excerptPipe) end() *excerpt {
	_ = p.read.SetReadDeadline(time.Unix(0, 1)) // ends copy
	<-p.done
	_ = p.read.SetReadDeadline(time.Time{})
	conn, err := p.read.SyscallConn()
	if err != nil {
		return &p.excerpt
	}
	buf := make([]byte, 32<<10)
	_ = conn.Read(func(fd uintptr) bool {
		for {
			n, err := unix.Read(int(fd), buf)
			if n > 0 {
				p.excerpt.add(buf[:n])
			} else if !errors.Is(err, unix.EINTR) {
				return true // EAGAIN: the pipe is empty
			}
		}
	})
	return &p.excerpt
}
