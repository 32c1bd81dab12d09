package items

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"idem/hashkey"
)

// Template is the command line of a batch.
type Template struct {
	// Fields are the fields that the placeholders name.
	Fields []string
	// Unknown are the words in braces that look like fields and are none. They stay as
	// they are.
	Unknown []string
	// Risks are placeholders whose value may be run as code.
	Risks []Risk

	o       TemplateOptions
	argv    []string
	args    [][]segment
	open    string
	close   string
	whole   bool   // the command gets the raw item
	appends bool   // the item is the last argument
	plain   string // the fingerprint of an item without fields
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

// segment is a part of an argument.
type segment struct {
	literal string
	field   int // the place of a placeholder in Template.Fields, or one of the values below
}

const (
	literal = -1
	whole   = -2 // a placeholder for the item
)

// The errors of ParseTemplate, apart from *PlaceholderError and *ScriptError.
var (
	// ErrPair is about a TemplateOptions.Pair that has no two halves.
	ErrPair = errors.New("a placeholder needs the same number of characters to open and to close it, such as {} or []")
	// ErrCommand is about a placeholder in the name of the command.
	ErrCommand = errors.New("the command itself has a placeholder")
	// ErrEmpty is about a command line without a command.
	ErrEmpty = errors.New("there is no command")
)

// PlaceholderError is the error of a command line that uses no field of the items, so all
// items would run the same command.
type PlaceholderError struct {
	Unknown []string // words in braces that name no field
	Header  []string // the fields; nil if they are unknown
}

func (e *PlaceholderError) Error() string {
	if len(e.Unknown) > 0 {
		return fmt.Sprintf("the header has no field %q", e.Unknown[0])
	}
	return "the command has no placeholder"
}

// ParseTemplate reads the command line of a batch. The command line of an item is made
// from it without a shell.
func ParseTemplate(argv []string, o TemplateOptions) (*Template, error) {
	t := &Template{o: o, argv: argv}
	var ok bool
	if t.open, t.close, ok = halves(o.Pair); !ok {
		return nil, ErrPair
	}
	if len(argv) == 0 {
		return nil, ErrEmpty
	}
	used := false
	for i, arg := range argv {
		segments := t.segments(arg)
		t.args = append(t.args, segments)
		if !variable(segments) {
			continue
		}
		if i == 0 {
			return nil, ErrCommand
		}
		used = true
	}
	switch {
	case used, o.OnStdin:
	case o.Format.Fields():
		return nil, &PlaceholderError{t.Unknown, o.Header}
	default:
		t.appends = true
	}
	t.whole = t.whole || o.OnStdin
	if err := t.checkScripts(); err != nil {
		return nil, err
	}
	if !o.Format.Fields() {
		t.plain = t.Inputs(&Item{}).Fingerprint()
	}
	return t, nil
}

// halves splits the pair that opens and closes a placeholder.
func halves(pair string) (open, end string, ok bool) {
	if pair == "" {
		pair = "{}"
	}
	n := utf8.RuneCountInString(pair)
	if n%2 != 0 || !utf8.ValidString(pair) || strings.IndexByte(pair, 0) >= 0 {
		return "", "", false
	}
	r := []rune(pair)
	return string(r[:n/2]), string(r[n/2:]), true
}

func variable(segments []segment) bool {
	return slices.ContainsFunc(segments, func(s segment) bool { return s.field != literal })
}

// segments splits an argument at its placeholders. The values of an item are not searched
// for placeholders again.
func (t *Template) segments(arg string) []segment {
	var out []segment
	done := 0
	for i := 0; i < len(arg); {
		n, field := t.placeholder(arg[i:])
		if n == 0 {
			i++
			continue
		}
		if done < i {
			out = append(out, segment{arg[done:i], literal})
		}
		out = append(out, segment{arg[i : i+n], field})
		i += n
		done = i
	}
	if done < len(arg) || arg == "" {
		out = append(out, segment{arg[done:], literal})
	}
	return out
}

// placeholder returns the length of the placeholder at the beginning of s, or 0, and its
// meaning.
func (t *Template) placeholder(s string) (n, field int) {
	rest, ok := strings.CutPrefix(s, t.open)
	if !ok {
		return 0, literal
	}
	if strings.HasPrefix(rest, t.close) {
		t.whole = true
		return len(t.open) + len(t.close), whole
	}
	if !t.o.Format.Fields() {
		return 0, literal
	}
	name, _, ok := strings.Cut(rest, t.close)
	switch {
	case !ok:
		return 0, literal
	case t.known(name):
		return len(t.open) + len(name) + len(t.close), t.use(name)
	case isWord(name) && !slices.Contains(t.Unknown, name):
		t.Unknown = append(t.Unknown, name)
	}
	return 0, literal
}

// known reports whether a word in braces is a field. JSON objects have no
// common header, so there any word is one: an object without it is a bad line.
func (t *Template) known(name string) bool {
	if t.o.Format == JSONL && isWord(name) {
		return true
	}
	return slices.Contains(t.o.Header, name) || slices.Contains(t.o.KeyFields, name)
}

// use returns the place of a field in Fields.
func (t *Template) use(name string) int {
	if i := slices.Index(t.Fields, name); i >= 0 {
		return i
	}
	t.Fields = append(t.Fields, name)
	return len(t.Fields) - 1
}

// isWord reports whether s looks like the name of a field.
func isWord(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= utf8.RuneSelf
		if !letter && (i == 0 || !strings.ContainsRune("0123456789-.", r)) {
			return false
		}
	}
	return s != ""
}

// Argv returns the command line of an item.
func (t *Template) Argv(it *Item) []string {
	argv := make([]string, 0, len(t.args)+1)
	for _, segments := range t.args {
		if len(segments) == 1 {
			argv = append(argv, segments[0].of(it))
			continue
		}
		var b strings.Builder
		for _, s := range segments {
			b.WriteString(s.of(it))
		}
		argv = append(argv, b.String())
	}
	if t.appends {
		argv = append(argv, it.Raw)
	}
	return argv
}

func (s segment) of(it *Item) string {
	switch s.field {
	case literal:
		return s.literal
	case whole:
		return it.Raw
	}
	return it.Values[s.field]
}

// The names of the inputs of an item and of a template. A field has its placeholder as its
// name, so no field has one of these names.
const (
	// ItemInput has the key of an item whose name is a hash.
	ItemInput  = "item"
	batchInput = "batch"
)

// Inputs returns the inputs of an item, from which its fingerprint is made: what its
// command gets besides the key. Items of different batches never have equal inputs,
// because one of them may be a step or an item below an item of the other.
func (t *Template) Inputs(it *Item) hashkey.Inputs {
	in := hashkey.Inputs{value(batchInput, t.o.Batch)}
	if it.Hashed() {
		in = append(in, value(ItemInput, it.Key))
	}
	if !t.o.Format.Fields() {
		return in
	}
	for i, name := range t.Fields {
		if !slices.Contains(t.o.KeyFields, name) {
			in = append(in, value("{"+name+"}", it.Values[i]))
		}
	}
	if t.whole {
		in = append(in, value("{}", it.Raw))
	}
	return in.Canonical()
}

// Fingerprint returns the fingerprint of the inputs of an item, without the key.
func (t *Template) Fingerprint(it *Item) string {
	if !t.o.Format.Fields() && !it.Hashed() {
		return t.plain
	}
	return t.Inputs(it).Fingerprint()
}

func value(name, v string) hashkey.Part {
	return hashkey.Part{Kind: hashkey.KindValue, Name: name, Value: []byte(v)}
}

// KeyFieldInput is the name of the input that has the key fields of a list with fields.
const KeyFieldInput = "--key-field"

// Call returns the inputs of the template, which are compared once for a batch. They are the
// command line with its placeholders, and the options that change the items of an input or
// their commands.
func (t *Template) Call() hashkey.Inputs {
	in := hashkey.Argv(t.argv)
	if len(t.o.KeyFields) > 0 { // their order counts in the names of items
		in = append(in, value(KeyFieldInput, strings.Join(t.o.KeyFields, ",")))
	}
	if t.o.OnStdin {
		in = append(in, value("--item-on-stdin", "yes"))
	}
	if t.open+t.close != "{}" {
		in = append(in, value("-I", t.o.Pair))
	}
	return in
}
