package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idem/internal/testkit"
)

// TestSignalsPage compares docs/signals.md with the table of the part signals.
func TestSignalsPage(t *testing.T) {
	var want bytes.Buffer
	document(&want)
	testkit.Golden(t, "../../docs/signals.md", want.Bytes())
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

// negligent is a wrapper that does nothing about signals.
const negligent = `#!/bin/sh
[ "$1 $4" = "run --" ] || exit 75
while [ "$1" != -- ]; do shift; done
shift
"$@"
exit $?
`

func TestNegligentIsFoundOut(t *testing.T) {
	program := filepath.Join(t.TempDir(), "negligent")
	if err := os.WriteFile(program, []byte(negligent), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "--quick", "--wait", "10s", "--idem", program, "signals")
	if err == nil {
		t.Fatalf("nothing was found\n%s", out)
	}
	for _, want := range []string{
		"INT, from the terminal, command: ignore: it ended with 0x2, not 0x0",
		"QUIT, the process group, command: ignore: it ended with 0x3, not 0x0",
		"USR1, idem alone, command: ignore: it ended with 0xa, not 0x0",
		"TERM, idem alone, command: setsid: the command saw it 0 times, not once",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "without idem:") {
		t.Errorf("what is tried without idem cannot depend on it\n%s", out)
	}
}
