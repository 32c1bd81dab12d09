package items

import "io"

// Reader reads items.
type Reader struct{}

// New returns a reader of an input.
func New(r io.Reader, o Options) *Reader { return &Reader{} }

// Header returns the names of the fields of CSV and TSV, in order. For an input without
// any line, it returns io.EOF. Other formats have no header.
func (r *Reader) Header() ([]string, error) { return nil, nil }

// Use makes Next set Item.Values, and refuse items that lack one of the fields.
func (r *Reader) Use(t *Template) {}

// Next returns the next item as soon as the input has it, or io.EOF. An error of type
// *BadLine is about one line; any other error is about the input and final.
func (r *Reader) Next() (Item, error) { return Item{}, io.EOF }

// CRLF reports whether the first line ends with CR LF. CR is then dropped from the end of
// each line.
func (r *Reader) CRLF() bool { return false }
