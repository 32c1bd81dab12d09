package transfer

import (
	"bytes"
	"errors"
	"testing"

	"idem/ledger"
)

// FuzzImport: whatever the bytes are, an import ends with an *Error or stores what an export writes
// again. The sums are made to fit, so that the fuzzer gets behind them.
func FuzzImport(f *testing.F) {
	k := newKit(f)
	k.fill()
	k.run(key("small"), ledger.Start{}, success, "out")
	file := k.export()
	f.Add(bodies(file))
	for _, line := range bytes.SplitAfter(bodies(file), []byte("\n")) {
		if len(line) < 4096 {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, file := range [][]byte{text, signAll(text)} {
			to := newKit(t)
			_, err := to.importAll(file, Refuse)
			if bad := (*Error)(nil); err != nil && !errors.As(err, &bad) {
				t.Fatalf("got error %v", err)
			}
			if err != nil {
				continue
			}
			again := newKit(t)
			if _, err := again.importAll(to.export(), Refuse); err != nil {
				t.Fatalf("the export of what was stored: %v", err)
			}
		}
	})
}

// bodies returns lines without their sums.
func bodies(file []byte) []byte {
	var out []byte
	for line := range bytes.Lines(file) {
		out = append(append(out, line[:len(line)-1-sumTail]...), "}\n"...)
	}
	return out
}

// signAll is the inverse of bodies.
func signAll(text []byte) []byte {
	var out []byte
	var last sum
	for n, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		if len(line) == 0 {
			line = []byte("}")
		}
		out = append(out, signed(string(line), last)...)
		if n > 0 {
			last = last.following(line)
		}
	}
	return out
}
