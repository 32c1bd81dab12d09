package signals

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "regenerate docs/signals.md")

func TestSignalsPage(t *testing.T) {
	const page = "../../../docs/signals.md"
	var want bytes.Buffer
	writePage(&want)
	if *update {
		if err := os.WriteFile(page, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("docs/signals.md is not what the table says (%v): go test ./test/chaos -run SignalsPage -update", err)
	}
}

func TestMatrix(t *testing.T) {
	if n := len(matrix(false)); n != 84 {
		t.Errorf("%d cells, want 84", n)
	}
	used := map[string]bool{}
	for _, c := range matrix(false) {
		l := c.expect()
		if l.note != "" && remark(l.note) == 0 {
			t.Errorf("%v: no remark %q", c, l.note)
		}
		used[l.note] = true
		// What differs from a command without idem says why.
		bare := c
		bare.bare = true
		b := bare.expect()
		if same := l.least == b.least && l.most == b.most && l.dies == b.dies; c.command != session && same != (l.note == "" || l.note == "no key") {
			t.Errorf("%v: note %q, with idem %+v, without %+v", c, l.note, l, b)
		}
	}
	for _, r := range remarks {
		if !used[r.name] {
			t.Errorf("nothing refers to %q", r.name)
		}
	}
}
