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
	// Hidden tells that Name or Value lacks what must not be stored; without a
	// value, all of it. No fingerprint is made of such a part.
	Hidden bool
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

// hiddenMark before a kind stands for Part.Hidden.
const hiddenMark = "~"

// Encode returns the inputs as one byte string: each field behind its length,
// so that different inputs never encode alike. A ledger stores it to say later
// which input has changed.
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

// Fingerprint returns "h1:" and the SHA-256 of the encoding, without details, in
// hex.
func (in Inputs) Fingerprint() string {
	sum := sha256.Sum256(in.Counted().Encode())
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
		// A length in more bytes than it needs (the last is 0) is none of Encode's.
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

// Argv returns the command line among the inputs, none when it is withheld.
func (in Inputs) Argv() []string {
	var argv []string
	for _, p := range in {
		if p.Kind == KindArg && !p.withheld() {
			argv = append(argv, string(p.Value))
		}
	}
	return argv
}
