package items

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// feed gives lines to a csv.Reader, one for each Read, which therefore reads no line
// before it needs it. It keeps those of the current record.
type feed struct {
	r     *Reader
	rest  []byte // of the line that is being given
	raw   []byte // the lines of the record so far
	first int    // the number of its first line; 0 before it
	last  line
	err   error // ends the lines
}

func (f *feed) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if err := f.line(); err != nil {
			f.err = err
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// line reads the next line of the record. Inside of a record, a blank line belongs to a
// field.
func (f *feed) line() error {
	next := f.r.full
	if f.first > 0 {
		next = f.r.lines.next
	}
	ln, err := next()
	if err != nil {
		return err
	}
	if f.first == 0 {
		f.first = ln.no
	}
	f.last = ln
	before := len(f.raw)
	f.raw = append(f.raw, ln.text...)
	if ln.long || len(f.raw) > f.r.o.MaxItem {
		return &BadLine{Line: f.first, Why: fmt.Sprintf("begins a record longer than %d bytes", f.r.o.MaxItem)}
	}
	if !ln.open {
		f.raw = append(f.raw, '\n')
	}
	f.rest = f.raw[before:]
	return nil
}

// csvRecord reads one record of CSV. If it cannot tell where a record ends, a later line
// may look like a record and be a part of a field, so no later line is read.
func (r *Reader) csvRecord() (line, []string, error) {
	f := &r.feed
	f.raw, f.rest, f.first, f.err = f.raw[:0], nil, 0, nil
	fields, err := r.csv.Read()
	ln := f.last
	ln.no, ln.text = f.first, f.raw
	if !ln.open && len(ln.text) > 0 {
		ln.text = ln.text[:len(ln.text)-1]
	}
	bad, isBad := errors.AsType[*BadLine](f.err)
	switch {
	case isBad:
		bad.Last = true
		return ln, nil, bad
	case f.err != nil && !errors.Is(f.err, io.EOF):
		return ln, nil, f.err
	case bytes.IndexByte(ln.text, 0) >= 0:
		return ln, nil, &BadLine{Line: f.first, Why: "contains a NUL byte"}
	case errors.Is(err, csv.ErrFieldCount):
		return ln, nil, wrongCount(f.first, len(fields), len(r.header))
	case errors.Is(err, csv.ErrBareQuote), errors.Is(err, csv.ErrQuote):
		return ln, nil, &BadLine{Line: f.first, Why: "has a quotation mark in a wrong place, or one that is missing", Last: true}
	}
	return ln, fields, err
}
