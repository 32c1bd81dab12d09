package transfer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxLine is the maximum length in bytes of a line, its end included.
const MaxLine = 64 << 20

// A line is a JSON object whose last field is the sum of the line. After the header, a sum
// also covers the sum of the line before. So a line that was changed, lost, doubled or moved is
// found before the record that it belongs to is stored. A sum at the end of the file alone would
// be read after the records before it are stored.
//
// The sums do not cover the header: two exports of the same records differ in nothing else.
type sum [16]byte

const (
	sumField = `,"sum":"`
	sumTail  = len(sumField) + 2*len(sum{}) + len(`"}`)
)

// following returns the sum of the line with a body that follows the line with sum s.
func (s sum) following(body []byte) (next sum) {
	h := sha256.New()
	h.Write(s[:])
	h.Write(body)
	copy(next[:], h.Sum(nil))
	return next
}

// marshal returns v as one line without its end.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// lineWriter writes lines.
type lineWriter struct {
	to   *bufio.Writer
	last sum
}

// write writes v, which is marshalled as an object with a field.
func (w *lineWriter) write(v any) error {
	body, err := marshal(v)
	if err != nil {
		return err
	}
	if len(body)+sumTail > MaxLine {
		return fmt.Errorf("a line of the export would have more than %d bytes", MaxLine)
	}
	next := w.last.following(body)
	if _, ok := v.(*headerLine); !ok {
		w.last = next
	}
	line := append(body[:len(body)-1], sumField...)
	line = hex.AppendEncode(line, next[:])
	_, err = w.to.Write(append(line, "\"}\n"...))
	return err
}

// Error is a fault of an export.
type Error struct {
	Line int
	// Foreign reports that the file is something else, or that only a newer idem can read it. Else
	// it is an export that was changed or cut off.
	Foreign bool
	Text    string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// lineReader reads lines.
type lineReader struct {
	from *bufio.Reader
	n    int // of the line that was read last
	last sum
	line []byte
}

func (r *lineReader) wrong(format string, args ...any) error {
	return &Error{Line: r.n, Text: fmt.Sprintf(format, args...)}
}

// read returns the body of the next line, which is valid until the next call. The error is io.EOF
// at the end of the file.
func (r *lineReader) read() ([]byte, error) {
	r.n++
	r.line = r.line[:0]
	for {
		part, err := r.from.ReadSlice('\n')
		if len(r.line)+len(part) > MaxLine {
			return nil, r.wrong("it is longer than 64 MiB")
		}
		r.line = append(r.line, part...)
		switch {
		case err == nil:
			return r.check()
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(r.line) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, r.wrong("the export is cut off here")
		default:
			return nil, err
		}
	}
}

// check verifies the line that was read.
func (r *lineReader) check() ([]byte, error) {
	line := bytes.TrimSuffix(r.line, []byte("\n"))
	if !utf8.Valid(line) {
		return nil, r.wrong("it is not valid UTF-8")
	}
	at := len(line) - sumTail
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(sumField)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return nil, r.wrong("it has no sum")
	}
	var want sum
	digits := line[at+len(sumField) : len(line)-2]
	if _, err := hex.Decode(want[:], digits); err != nil || !bytes.Equal(hex.AppendEncode(nil, want[:]), digits) {
		return nil, r.wrong("it has no sum")
	}
	body := append(line[:at:at], '}')
	if r.last.following(body) != want {
		return nil, r.wrong("it was changed, or is not the line that follows the one before")
	}
	if r.n > 1 { // not the header
		r.last = want
	}
	return body, nil
}

// decode sets v to the value of a body. The body must be exactly as marshal would write it: JSON
// has many texts for a value, and its readers differ about some of them.
func (r *lineReader) decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return r.wrong("it is not a line of an export: %v", err)
	}
	again, err := marshal(v)
	if err != nil || !bytes.Equal(again, body) {
		return r.wrong("it is not written as idem writes it")
	}
	return nil
}
