package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idem/test/internal/rig/rigtest"
)

func TestQuick(t *testing.T) {
	out, err := rigtest.Program(t, "./test/load")("--quick")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

// A part proves nothing unless it finds a program that runs every command, or none.
func TestFaultsAreFound(t *testing.T) {
	run := rigtest.Program(t, "./test/load")
	for _, test := range []struct{ part, script, want string }{
		{"onekey", `while [ "$1" != -- ]; do shift; done; shift; exec "$@"`, "20 executions"},
		{"onekey", `exit 75`, "20 of 20 callers failed, number 0 ended with 75"},
		{"manykeys", `exit 0`, "0 executions of 0 keys for 20 callers"},
		{"manykeys", `kill -9 $$`, "ended with -9"},
		{"fresh", `exit 0`, "idem list has 0 keys that succeeded, not 8"},
		{"soak", `case $1 in run) while [ "$1" != -- ]; do shift; done; shift; exec "$@"; esac`, "ended with 97"},
		{"soak", `exit 0`, "is acknowledged and never came to its end"},
		{"soak", `exit 69`, "ended with 69"},
		{"reader", `exit 0`, "idem list wrote nothing"},
		{"sizes", `exit 0`, `is "", not "output of size:`},
		{"operators", `exit 0`, "the replay of size:"},
		{"operators", `case $1 in run) printf 'output of %s\n' "$3";; esac`, "list: no output"},
		{"operators", `case $1 in run) printf 'output of %s\n' "$3";; list) echo row;; esac`, "list: 0 of 20000 keys"},
		{"each", `exit 0`, "idem list has 0 items that succeeded, not 3000"},
		{"each", `exit 79`, "idem each, executed: exit status 79"},
		{"each", `case $1 in list) seq 3000;; *) echo item; esac`, "skipped.out has"},
		{"each", `case $1 in list) seq 3000;; *) mkdir -p "$IDEM_LEDGER"; echo >>"$IDEM_LEDGER/ledger.db"; esac`, "has changed the ledger"},
		{"held", `exit 0`, "the output of item 0 is"},
		{"nonsense", `exit 0`, `unknown part "nonsense"`},
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		out, err := run("--quick", "--callers", "20", "--idem", program, test.part)
		if err == nil || !strings.Contains(out, test.want) {
			t.Errorf("%s on %q: %v, want %q in\n%s", test.part, test.script, err, test.want, out)
		}
	}
}
