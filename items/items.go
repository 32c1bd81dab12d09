// Package items reads the items of a batch and makes the command of each from a template.
// Apart from the input, it is pure. An item is found again by its value: nothing in its
// name, its fingerprint or its command depends on its position.
package items

import "fmt"

// Format is the format of an input.
type Format int

// The formats. In all but NUL, a line ends with a newline.
const (
	Lines Format = iota // each line is an item
	NUL                 // each item ends with a NUL byte
	CSV                 // RFC 4180; the first record has the names of the fields
	TSV                 // as CSV, with tabs, and a quotation mark is an ordinary byte
	JSONL               // each line is a JSON object
)

// Fields reports whether an item of the format has fields.
func (f Format) Fields() bool { return f >= CSV }

// MaxItem is the default of Options.MaxItem.
const MaxItem = 16 << 20

// Options are about an input.
type Options struct {
	Format Format
	// Batch is the key of the batch. The key of an item is Batch, a slash and its name.
	Batch string
	// KeyFields are the fields that identify an item. CSV, TSV and JSONL require at least
	// one.
	KeyFields []string
	// StrictNewline makes a last line without a newline a bad line: the program that wrote
	// it may have died in the middle.
	StrictNewline bool
	// MaxItem is the maximum length of an item in bytes; 0 means the default.
	MaxItem int
}

// Item is one item of an input. It stays valid after the next call of Next.
type Item struct {
	No   int // position among the items of this input, from 1
	Line int // the line that it begins in, from 1; with NUL, the number of the record
	// End is the position in the input after the item, in bytes.
	End int64
	// Raw is the line of the item, without the newline.
	Raw string
	// Key identifies the item, and is shown for it. It is Raw, or the value of the key
	// field. For several key fields, it has the values of all, with commas between them.
	Key string
	// Name is the last part of the key of the item's record. It is Key, or "~" and a hash.
	Name string
	// Values are the values of the fields that the template uses, in the order of
	// Template.Fields.
	Values []string
	// Newline reports whether a newline follows Raw in the input.
	Newline bool
}

// Stdin returns the bytes of the item for the stdin of its command: Raw, with the newline
// if the input has one.
func (it *Item) Stdin() string {
	if it.Newline {
		return it.Raw + "\n"
	}
	return it.Raw
}

// Hashed reports whether the name is a hash of the key.
func (it *Item) Hashed() bool { return it.Name != it.Key }

// BadLine is the error of a line that cannot be an item. The next call of Next goes on after it.
type BadLine struct {
	Line int    // from 1
	Why  string // the end of a sentence about the line: "has 2 fields, the header has 3"
	// Last reports whether the lines after it cannot be read. The next call of Next then
	// returns io.EOF.
	Last bool
	// NULs reports whether the line looks like a list in which NUL bytes end the items.
	NULs bool
}

func (e *BadLine) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.Why) }
