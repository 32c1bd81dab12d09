package hashkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// Kind says where an input comes from.
type Kind string

// KindArg is an element of the command line, the command itself included.
const KindArg Kind = "arg"

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

// Change is one input that differs between two calls. Old is nil when it was
// added, New when it was removed.
type Change struct {
	Name     string // "command", "argument 2"
	Old, New []byte
}

// Diff returns what differs from old to new, in order; empty when nothing does.
func Diff(old, new Inputs) []Change {
	was, is := old.Argv(), new.Argv()
	var changes []Change
	for i := range max(len(was), len(is)) {
		c := Change{Name: "command"}
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
