package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"idem/internal/testkit"
	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// program is the path of chaos, which is built once. It starts itself as its children,
// so the test binary cannot replace it.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "chaos-test-")
	lab.Must(err)
	program = filepath.Join(dir, "chaos")
	code := m.Run()
	lab.Must(os.RemoveAll(dir))
	os.Exit(code)
}

// run runs chaos and returns its output. If chaos skips the part, the test is skipped.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	testkit.Slow(t, "a part of chaos runs, with --quick")
	if runtime.GOOS != "linux" {
		t.Skip("chaos needs Linux")
	}
	if err := rig.Watch(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		if _, err := rig.Build("./test/chaos", program); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(program, args...)
	c.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := c.CombinedOutput()
	if _, why, skipped := strings.Cut(string(out), "\nskipped: "); skipped {
		t.Skip(why)
	}
	return string(out), err
}

func TestQuick(t *testing.T) {
	for _, p := range parts {
		t.Run(p.Name, func(t *testing.T) {
			out, err := run(t, "--quick", p.Name)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Log(out)
		})
	}
}

// A part proves nothing unless it finds a program that breaks the promises. The part
// power contains such a program, and steps checks that it reaches its points.
func TestNaiveProgramIsFound(t *testing.T) {
	testkit.Slow(t, "parts of chaos run, with --quick")
	naive, err := rig.Build("./test/chaos/testdata/naive", filepath.Join(t.TempDir(), "naive"))
	if err != nil {
		t.Fatal(err)
	}
	for part, promises := range map[string][]string{
		"kill":  {"overlapping executions", "faults of the ledger", "histories that are in no order"},
		"mutex": {"overlaps within a mutex", "histories in which a mutex has too many holders"},
		"full":  {"status 69 although the command had started", "commands started a second time"},
	} {
		t.Run(part, func(t *testing.T) {
			out, err := run(t, "--quick", "--keys", "8", "--kills", "60", "--idem", naive, part)
			if err == nil {
				t.Fatalf("nothing was found\n%s", out)
			}
			for _, promise := range promises {
				if regexp.MustCompile(`(?m)^  ` + promise + ` +0$`).MatchString(out) {
					t.Errorf("%q was not found broken\n%s", promise, out)
				}
			}
			if part == "kill" && !strings.Contains(out, "its journal, --on-interrupted ") {
				t.Errorf("no evidence\n%s", out)
			}
		})
	}
}

func TestForgetfulProgramIsFound(t *testing.T) {
	testkit.Slow(t, "a part of chaos runs, with --quick")
	dir := t.TempDir()
	idem, err := rig.Build(".", filepath.Join(dir, "idem"))
	if err != nil {
		t.Fatal(err)
	}
	forgetful, err := rig.Build("./test/chaos/testdata/forgetful", filepath.Join(dir, "forgetful"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REAL_PROGRAM", idem)
	// In a trial of this seed, the -wal with the latest keys is deleted.
	out, err := run(t, "--quick", "--seed", "4", "--idem", forgetful, "damage")
	if err == nil || !strings.Contains(out, " was run again") {
		t.Errorf("nothing was found: %v\n%s", err, out)
	}
}

// rash is idem whose gc also forgets a key that it was not told to forget.
const rash = `#!/bin/sh
if [ "$1" = gc ]; then
	key=$("$REAL_PROGRAM" list --state succeeded 'keep:*' | head -n 1 | cut -f 1)
	[ -z "$key" ] || "$REAL_PROGRAM" forget "$key"
fi
exec "$REAL_PROGRAM" "$@"
`

func TestRashProgramIsFound(t *testing.T) {
	testkit.Slow(t, "a part of chaos runs, with --quick")
	dir := t.TempDir()
	idem, err := rig.Build(".", filepath.Join(dir, "idem"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REAL_PROGRAM", idem)
	program := filepath.Join(dir, "rash")
	if err := os.WriteFile(program, []byte(rash), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "--quick", "--idem", program, "collect"); err == nil || !strings.Contains(out, "\nsecond effects that no removal explains: key ") {
		t.Errorf("got error %v, want second effects in\n%s", err, out)
	}
}

// The part triggers finds a program that shares every result, and one that runs each
// call.
func TestUnfreshProgramsAreFound(t *testing.T) {
	testkit.Slow(t, "a part of chaos runs twice, with --quick")
	dir := t.TempDir()
	idem, err := rig.Build(".", filepath.Join(dir, "idem"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("REAL_PROGRAM", idem)
	for flags, want := range map[string]string{
		"--wait":         "answers that are older than their question",
		"--wait --force": "runs that no call needed",
	} {
		program := filepath.Join(dir, "program")
		script := "#!/bin/sh\nfor a; do shift; case $a in --wait=fresh*) set -- \"$@\" " + flags + ";; *) set -- \"$@\" \"$a\";; esac; done\nexec \"$REAL_PROGRAM\" \"$@\"\n"
		if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := run(t, "--quick", "--idem", program, "triggers"); err == nil || !strings.Contains(out, "\n"+want+": key ") {
			t.Errorf("%s: got error %v, want %q in\n%s", flags, err, want, out)
		}
	}
}

// The part shared finds a program whose leases end without the command.
func TestLeasedProgramIsFound(t *testing.T) {
	testkit.Slow(t, "a part of chaos runs, with --quick")
	leased, err := filepath.Abs("testdata/leased/leased")
	if err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "--quick", "--keys", "4", "--idem", leased, "shared")
	if err == nil {
		t.Fatalf("nothing was found\n%s", out)
	}
	for _, promise := range []string{"overlapping executions", "starts after an acknowledged success"} {
		if !regexp.MustCompile(`(?m)^  ` + promise + ` +[1-9]`).MatchString(out) {
			t.Errorf("%q was not found broken\n%s", promise, out)
		}
	}
}

func TestUsage(t *testing.T) {
	out, err := run(t, "nonsense")
	if err == nil || !strings.Contains(out, `unknown part "nonsense"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// negligent is a wrapper that does not handle signals.
const negligent = `#!/bin/sh
[ "$1 $4" = "run --" ] || exit 75
while [ "$1" != -- ]; do shift; done
shift
"$@"
exit $?
`

func TestNegligentProgramIsFound(t *testing.T) {
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
		t.Errorf("a fault in a case without idem\n%s", out)
	}
}
