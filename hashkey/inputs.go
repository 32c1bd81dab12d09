package hashkey

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"idem/internal/lenprefix"
)

// Kind is the source of an input.
type Kind string

// The kinds. Except for KindArg and KindValue, a value is Present(digest) or
// Absent().
const (
	KindArg   Kind = "arg"   // an element of the command line, the command included
	KindEnv   Kind = "env"   // an environment variable
	KindFile  Kind = "file"  // the content of a file or a directory
	KindStdin Kind = "stdin" // the content of stdin
	KindCwd   Kind = "cwd"   // the working directory
	KindValue Kind = "value" // given by the user
)

// Part is one input.
type Part struct {
	Kind  Kind
	Name  string // within the kind; empty for arguments, which count by position
	Value []byte // any bytes
	// Hidden reports whether a part of Name or Value was removed because it must
	// not be stored. An empty Value was removed as a whole. A hidden part is never
	// fingerprinted.
	Hidden bool
}

// Inputs are all values that must be equal for two calls to count as the same
// call, in order.
type Inputs []Part

// Argv returns the inputs of a command line.
func Argv(argv []string) Inputs {
	in := make(Inputs, len(argv))
	for i, a := range argv {
		in[i] = Part{Kind: KindArg, Value: []byte(a)}
	}
	return in
}

// Canonical returns the inputs in the order used for comparison: the arguments in
// their order, then the other inputs sorted, without duplicates. So neither the
// order of flags nor a repeated flag makes the call a different one.
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

// Absent and Present distinguish an input that does not exist, such as an unset
// variable or a missing file, from an empty one.
var absent = []byte{0}

// Absent returns the value of an input that does not exist.
func Absent() []byte { return absent }

// Present returns the value of an input that exists, from its digest.
func Present(digest []byte) []byte { return append([]byte{1}, digest...) }

// version begins every encoding. A changed encoding must have a new version, so
// that every stored record names its format.
const version = "idem1\x00"

// hiddenMark is the prefix of the kind of a part with Hidden set.
const hiddenMark = "~"

// Encode returns the inputs as one byte string. Each field follows its length, so
// different inputs have different encodings. A ledger stores the encoding, from
// which Diff later finds the changed inputs.
func (in Inputs) Encode() []byte {
	b := []byte(version)
	for _, p := range in {
		kind := string(p.Kind)
		if p.Hidden {
			kind = hiddenMark + kind
		}
		b = lenprefix.Append(b, kind, p.Name)
		b = lenprefix.Append(b, p.Value)
	}
	return b
}

// Fingerprint returns "h1:" and the SHA-256, in hex, of the encoding without
// details.
func (in Inputs) Fingerprint() string {
	sum := sha256.Sum256(in.Counted().Encode())
	return "h1:" + hex.EncodeToString(sum[:])
}

var errEncoding = errors.New("not an encoding of inputs")

// Decode returns the inputs of an encoding that Encode wrote.
func Decode(b []byte) (Inputs, error) {
	b, ok := bytes.CutPrefix(b, []byte(version))
	if !ok {
		return nil, errEncoding
	}
	field := func() []byte {
		n, w := binary.Uvarint(b)
		// Encode writes no length in more bytes than it needs (the last byte is 0).
		if w <= 0 || w > 1 && b[w-1] == 0 || n > uint64(len(b)-w) {
			ok = false
			return nil
		}
		f := b[w : w+int(n)]
		b = b[w+int(n):]
		return f
	}
	in := Inputs{}
	for len(b) > 0 {
		kind, hidden := strings.CutPrefix(string(field()), hiddenMark)
		p := Part{Kind: Kind(kind), Name: string(field()), Value: field(), Hidden: hidden}
		if !ok {
			return nil, errEncoding
		}
		in = append(in, p)
	}
	return in, nil
}

// Argv returns the command line among the inputs, or nil if it is withheld.
func (in Inputs) Argv() []string {
	var argv []string
	for _, p := range in {
		if p.Kind == KindArg && !p.withheld() {
			argv = append(argv, string(p.Value))
		}
	}
	return argv
}
