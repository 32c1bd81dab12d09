package hashkey

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// Kind says where an input comes from.
type Kind string

// The kinds. Of all but KindArg and KindValue the value is a digest, or absent.
const (
	KindArg   Kind = "arg"   // an element of the command line, the command included
	KindEnv   Kind = "env"   // an environment variable
	KindFile  Kind = "file"  // the content of a file or a directory
	KindStdin Kind = "stdin" // the content of stdin
	KindCwd   Kind = "cwd"   // the working directory
	KindValue Kind = "value" // given by the user
)

// Part is one input: its kind, its name within the kind (none for arguments,
// which count by their order) and its value, any bytes.
type Part struct {
	Kind  Kind
	Name  string
	Value []byte
}

// Inputs is everything that makes two calls "the same call", in order.
type Inputs []Part

// Argv returns the inputs of a command line.
func Argv(argv []string) Inputs {
	in := make(Inputs, len(argv))
	for i, a := range argv {
		in[i] = Part{Kind: KindArg, Value: []byte(a)}
	}
	return in
}

// Canonical returns the inputs in the one order that is compared: arguments as
// they come, then everything else sorted, and each once. So neither the order
// of flags nor a repeated one makes another call.
func (in Inputs) Canonical() Inputs {
	out := Argv(in.Argv())
	args := len(out)
	for _, p := range in {
		if p.Kind != KindArg {
			out = append(out, p)
		}
	}
	order := func(a, b Part) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), bytes.Compare(a.Value, b.Value))
	}
	slices.SortFunc(out[args:], order)
	return slices.CompactFunc(out, func(a, b Part) bool { return a.Kind != KindArg && order(a, b) == 0 })
}

// Absent and Present are values that tell nothing (an unset variable, a missing
// file) apart from something empty.
var absent = []byte{0}

// Absent is the value of what is not there.
func Absent() []byte { return absent }

// Present is the value of what is there, by its digest.
func Present(digest []byte) []byte { return append([]byte{1}, digest...) }

// version begins every encoding; another encoding gets another version, so
// that a record always says how to read it.
const version = "idem1\x00"

// Encode returns the inputs as one byte string: each field behind its length,
// so that different inputs never encode alike. A ledger stores it to say later
// which input has changed.
func (in Inputs) Encode() []byte {
	b := []byte(version)
	field := func(s []byte) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	for _, p := range in {
		field([]byte(p.Kind))
		field([]byte(p.Name))
		field(p.Value)
	}
	return b
}

// Fingerprint returns "h1:" and the SHA-256 of the encoding in hex.
func (in Inputs) Fingerprint() string {
	sum := sha256.Sum256(in.Encode())
	return "h1:" + hex.EncodeToString(sum[:])
}

var errEncoding = errors.New("not an encoding of inputs")

// Decode reads what Encode wrote.
func Decode(b []byte) (Inputs, error) {
	b, ok := bytes.CutPrefix(b, []byte(version))
	if !ok {
		return nil, errEncoding
	}
	field := func() []byte {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			ok = false
			return nil
		}
		f := b[w : w+int(n)]
		b = b[w+int(n):]
		return f
	}
	in := Inputs{}
	for len(b) > 0 {
		p := Part{Kind: Kind(field()), Name: string(field()), Value: field()}
		if !ok {
			return nil, errEncoding
		}
		in = append(in, p)
	}
	return in, nil
}

// Argv returns the command line among the inputs.
func (in Inputs) Argv() []string {
	var argv []string
	for _, p := range in {
		if p.Kind == KindArg {
			argv = append(argv, string(p.Value))
		}
	}
	return argv
}

// Change is one input that differs between two calls.
type Change struct {
	Kind Kind
	Name string // "command", "argument 2", "environment variable FOO"
	// Old and New are the values, nil where the input is not among the others.
	// Only those of arguments and given values are fit to be shown.
	Old, New []byte
}

// Diff returns what differs from old to new: arguments first, by position, then
// everything else in the order of new, then what is only in old.
func Diff(old, new Inputs) []Change {
	changes := diffArgs(old.Argv(), new.Argv())
	type id struct {
		kind Kind
		name string
	}
	was := map[id][][]byte{} // what has no counterpart yet
	for _, p := range old {
		k := id{p.Kind, p.Name}
		was[k] = append(was[k], p.Value)
	}
	take := func(p Part) bool {
		k := id{p.Kind, p.Name}
		i := slices.IndexFunc(was[k], func(v []byte) bool { return bytes.Equal(v, p.Value) })
		if i >= 0 {
			was[k] = slices.Delete(was[k], i, i+1)
		}
		return i >= 0
	}
	var changed Inputs
	for _, p := range new {
		if p.Kind != KindArg && !take(p) {
			changed = append(changed, p)
		}
	}
	for _, p := range changed {
		c := Change{Kind: p.Kind, Name: p.label(), New: p.Value}
		if k := (id{p.Kind, p.Name}); len(was[k]) > 0 {
			c.Old, was[k] = was[k][0], was[k][1:]
		}
		changes = append(changes, c)
	}
	for _, p := range old {
		if p.Kind != KindArg && take(p) {
			changes = append(changes, Change{Kind: p.Kind, Name: p.label(), Old: p.Value})
		}
	}
	return changes
}

// label names an input that is no argument for people.
func (p Part) label() string {
	switch p.Kind {
	case KindEnv:
		return "environment variable " + p.Name
	case KindFile:
		return "file " + p.Name
	case KindCwd:
		return "working directory"
	case KindValue:
		return "value " + p.Name
	default:
		return string(p.Kind)
	}
}

func diffArgs(was, is []string) []Change {
	var changes []Change
	for i := range max(len(was), len(is)) {
		c := Change{Kind: KindArg, Name: "command"}
		if i > 0 {
			c.Name = fmt.Sprintf("argument %d", i)
		}
		if i < len(was) {
			c.Old = []byte(was[i])
		}
		if i < len(is) {
			c.New = []byte(is[i])
		}
		if i >= len(was) || i >= len(is) || was[i] != is[i] {
			changes = append(changes, c)
		}
	}
	return changes
}
