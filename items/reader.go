package items

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Reader reads items.
type Reader struct {
	o     Options
	lines *lines
	csv   *csv.Reader
	feed  feed

	began   bool
	header  []string
	fault   error // final
	keys    []string
	use     []string
	key     []int // the places of keys and use in the header
	used    []int
	no      int
	members []member
}

// New returns a reader of an input.
func New(in io.Reader, o Options) *Reader {
	o.MaxItem = cmp.Or(o.MaxItem, MaxItem)
	sep := byte('\n')
	if o.Format == NUL {
		sep = 0
	}
	r := &Reader{o: o, lines: newLines(in, sep, o.MaxItem), keys: o.KeyFields}
	r.feed.r = r
	r.csv = csv.NewReader(&r.feed)
	return r
}

// FieldError is the error of a key field that the header does not have.
type FieldError struct {
	Field  string
	Header []string
}

func (e *FieldError) Error() string { return fmt.Sprintf("the header has no field %q", e.Field) }

// Header returns the names of the fields of CSV and TSV, in order. For an input without
// any line, it returns io.EOF. Other formats have no header.
func (r *Reader) Header() ([]string, error) {
	if r.o.Format != CSV && r.o.Format != TSV || r.began {
		return r.header, r.fault
	}
	r.began = true
	ln, fields, err := r.record()
	if err == nil {
		err = checkHeader(ln.no, fields)
	}
	if bad, ok := errors.AsType[*BadLine](err); ok {
		bad.Last = true
	}
	if err == nil {
		r.csv.FieldsPerRecord = len(fields)
		r.header = fields
		r.key, err = places(r.keys, fields)
	}
	r.fault = err
	return r.header, err
}

// checkHeader returns an error if two fields have one name.
func checkHeader(no int, fields []string) error {
	for i, name := range fields {
		if name != "" && slices.Contains(fields[:i], name) {
			return &BadLine{Line: no, Why: fmt.Sprintf("has two fields %q", name)}
		}
	}
	return nil
}

// places returns the positions of names in a header.
func places(names, header []string) ([]int, error) {
	var at []int
	for _, name := range names {
		i := slices.Index(header, name)
		if i < 0 {
			return nil, &FieldError{name, header}
		}
		at = append(at, i)
	}
	return at, nil
}

// Use makes Next set Item.Values, and refuse items that lack one of the fields.
func (r *Reader) Use(t *Template) {
	r.use = t.Fields
	r.used, _ = places(r.use, r.header) // the template knows only fields of the header
}

// CRLF reports whether the first line ends with CR LF. CR is then dropped from the end of
// each line.
func (r *Reader) CRLF() bool { return r.lines.crlf }

// Next returns the next item as soon as the input has it, or io.EOF. An error of type
// *BadLine is about one line; any other error is about the input and final.
func (r *Reader) Next() (Item, error) {
	if _, err := r.Header(); err != nil {
		return Item{}, r.end(err)
	}
	it, err := r.read()
	if err != nil {
		return Item{}, r.end(err)
	}
	r.no++
	it.No = r.no
	return it, nil
}

// end keeps an error that is final.
func (r *Reader) end(err error) error {
	bad, ok := errors.AsType[*BadLine](err)
	switch {
	case !ok:
		r.fault = err
	case bad.Last:
		r.fault = io.EOF
	}
	return err
}

// read reads one item, except for its number.
func (r *Reader) read() (Item, error) {
	ln, fields, err := r.record()
	if err != nil {
		return Item{}, err
	}
	it := Item{Line: ln.no, End: ln.end, Raw: string(ln.text), Newline: !ln.open && r.o.Format != NUL}
	bad := func(format string, args ...any) error {
		return &BadLine{Line: ln.no, Why: fmt.Sprintf(format, args...)}
	}
	if !r.o.Format.Fields() {
		it.Key, it.Name = it.Raw, name(r.o.Batch, it.Raw)
		return it, nil
	}
	var keys []string
	if r.o.Format == JSONL {
		if keys, it.Values, err = r.object(ln.text); err != nil {
			return Item{}, bad("%v", err)
		}
	} else {
		keys, it.Values = pick(fields, r.key), pick(fields, r.used)
	}
	for i, key := range keys {
		if blank([]byte(key)) {
			return Item{}, bad("has an empty key field %q", r.keys[i])
		}
	}
	for i, v := range slices.Concat(keys, it.Values) {
		if strings.IndexByte(v, 0) >= 0 {
			return Item{}, bad("has a NUL byte in the field %q", slices.Concat(r.keys, r.use)[i])
		}
	}
	it.Key, it.Name = strings.Join(keys, ","), name(r.o.Batch, keys...)
	return it, nil
}

func (r *Reader) ending() string {
	if r.o.Format == NUL {
		return "NUL byte"
	}
	return "newline"
}

func pick(fields []string, at []int) []string {
	values := make([]string, len(at))
	for i, k := range at {
		values[i] = fields[k]
	}
	return values
}

// record reads the lines of one record. It returns the fields of CSV and TSV.
func (r *Reader) record() (line, []string, error) {
	ln, fields, err := r.split()
	if err == nil && r.o.StrictNewline && ln.open {
		err = &BadLine{Line: ln.no, Why: "has no " + r.ending() + " at its end: it may be cut"}
	}
	return ln, fields, err
}

func (r *Reader) split() (line, []string, error) {
	if r.o.Format == CSV {
		return r.csvRecord()
	}
	ln, err := r.full()
	if err != nil || r.o.Format != TSV {
		return ln, nil, err
	}
	fields := strings.Split(string(ln.text), "\t")
	if r.header != nil && len(fields) != len(r.header) {
		err = wrongCount(ln.no, len(fields), len(r.header))
	}
	return ln, fields, err
}

func wrongCount(no, n, header int) error {
	return &BadLine{Line: no, Why: fmt.Sprintf("has %d fields, the header has %d", n, header)}
}

// full returns the next line that is not blank.
func (r *Reader) full() (line, error) {
	for {
		ln, err := r.lines.next()
		if err != nil {
			return ln, err
		}
		if ln.no == 1 && r.o.Format != NUL {
			if isUTF16(ln.text) {
				return ln, &BadLine{Line: 1, Why: "is UTF-16: convert the list to UTF-8", Last: true}
			}
			ln.text = bytes.TrimPrefix(ln.text, []byte("\ufeff"))
		}
		switch {
		case ln.long:
			return ln, &BadLine{Line: ln.no, Why: fmt.Sprintf("is longer than %d bytes", r.o.MaxItem), NULs: ln.nuls && r.o.Format == Lines}
		case len(ln.text) == 0, r.o.Format != NUL && blank(ln.text) && !(ln.open && r.o.StrictNewline):
			continue
		case r.o.Format != NUL && bytes.IndexByte(ln.text, 0) >= 0:
			return ln, &BadLine{Line: ln.no, Why: "contains a NUL byte", NULs: r.o.Format == Lines && endedByNULs(ln)}
		}
		return ln, nil
	}
}

// endedByNULs reports whether a line that contains a NUL byte looks like several items, or the
// last one, of a list in which NUL bytes end them.
func endedByNULs(ln line) bool {
	return bytes.Count(ln.text, []byte{0}) > 1 || ln.open && bytes.HasSuffix(ln.text, []byte{0})
}

// isUTF16 reports whether the first line of an input is in UTF-16.
func isUTF16(text []byte) bool {
	return (bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff"))) && bytes.IndexByte(text, 0) >= 0
}

// blank reports whether a line has only spaces and tabs.
func blank(text []byte) bool {
	for _, c := range text {
		if c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}
