// Package items reads the items of a batch and makes the command of each from a template.
// Apart from the input, it is pure. An item is found again by its value: nothing in its
// name, its fingerprint or its command depends on its position.
package items

import (
	"fmt"

	"idem/hashkey"
)

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

// BadLine is the error of a line that is no item. The next call of Next goes on after it.
type BadLine struct {
	Line int    // from 1
	Why  string // what is wrong, as the end of a sentence about the line: "has 2 fields, the header has 3"
	// Last reports whether the lines after it cannot be read. The next call of Next then
	// returns io.EOF.
	Last bool
}

func (e *BadLine) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.Why) }

// ItemInput is the name of the input that has the key of an item whose name is a hash.
const ItemInput = "item"

// Template is the command line of a batch.
type Template struct {
	// Fields are the fields that the template uses, without the key fields that only
	// identify.
	Fields []string
	// Unknown are the words in braces that look like fields and are none. They stay as
	// they are.
	Unknown []string
	// Remote are the indexes of arguments with a placeholder that ssh gives to a shell.
	Remote []int

	o      TemplateOptions
	argv   [][]segment
	append bool // the item is the last argument
}

// TemplateOptions say how a template is read.
type TemplateOptions struct {
	Options
	// Header are the names of the fields of CSV and TSV, from Reader.Header.
	Header []string
	// Pair opens and closes a placeholder: "{}" or empty, "[]", "{{}}".
	Pair string
	// OnStdin gives the item to the command on stdin.
	OnStdin bool
}

// Argv returns the command line of an item.
func (t *Template) Argv(it *Item) []string { return nil }

// Inputs returns the inputs of an item, from which its fingerprint is made. They have
// nothing that the key of the item has, except for the bytes of a key that is a hash.
func (t *Template) Inputs(it *Item) hashkey.Inputs { return nil }

// Fingerprint returns the fingerprint of Inputs.
func (t *Template) Fingerprint(it *Item) string { return "" }

// Call returns the inputs of the template: the command line with its placeholders, and
// the options that change the identity of items or the command that they get. They are
// compared once for a batch.
func (t *Template) Call() hashkey.Inputs { return nil }

type segment struct{}
