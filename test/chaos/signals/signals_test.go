package signals

import (
	"bytes"
	"testing"

	"idem/internal/testkit"
)

// TestSignalsPage compares docs/signals.md with the table.
func TestSignalsPage(t *testing.T) {
	var want bytes.Buffer
	writePage(&want)
	testkit.Golden(t, "../../../docs/signals.md", want.Bytes())
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
		// A cell that differs from a command without idem needs a note.
		bare := c
		bare.bare = true
		b := bare.expect()
		if same := l.least == b.least && l.most == b.most && l.dies == b.dies; c.command != session && same != (l.note == "" || l.note == "no key") {
			t.Errorf("%v: note %q, with idem %+v, without %+v", c, l.note, l, b)
		}
	}
	for _, r := range remarks {
		if !used[r.name] {
			t.Errorf("no cell has the remark %q", r.name)
		}
	}
}
