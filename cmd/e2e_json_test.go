package cmd_test

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
)

// answer is a part of the object of idem run --json.
type answer struct {
	Status  int
	Action  string
	Message *string
	Hints   []struct {
		Text    string
		Command *string
	}
	Stdout, Stderr struct {
		Text  string
		Bytes int64
	}
}

// answer returns the object that is the whole stdout of a call.
func (b *box) answer(r result) answer {
	b.t.Helper()
	var a answer
	if err := json.Unmarshal([]byte(r.out), &a); err != nil || !strings.HasSuffix(r.out, "}\n") || strings.Count(r.out, "\n") != 1 {
		b.t.Fatalf("got %q, error %v; want a JSON object on one line", r.out, err)
	}
	return a
}

// hint returns the command of the hint whose text begins with purpose.
func (b *box) hint(a answer, purpose string) string {
	b.t.Helper()
	for _, h := range a.Hints {
		if strings.HasPrefix(h.Text, purpose) && h.Command != nil {
			return *h.Command
		}
	}
	b.t.Fatalf("got the hints %+v, want one %q with a command", a.Hints, purpose)
	return ""
}

// A command of a hint is a whole line for a shell. The call that it makes has the flags of
// the first call.
func TestE2EJSONHints(t *testing.T) {
	t.Parallel()
	const first = "idem run --key k -- ./job a"
	for name, c := range map[string]struct {
		before  string // a script
		call    []string
		purpose string
		status  int    // of the pasted command
		state   string // of the key after it; "" for none
		side    int    // executions
	}{
		"mismatch":                   {first, []string{"--key", "k", "--", "./job", "it's", ""}, "to run this one again", 0, "succeeded", 2},
		"a duration in its own word": {first, []string{"--key", "k", "--wait", "5", "--", "./job", "b"}, "to run this one again", 0, "succeeded", 2},
		"no double dash":             {first, []string{"--key=k", "--wait", "./job", "b"}, "to run this one again", 0, "succeeded", 2},
		"an odd word":                {first, []string{"--key", "k", "--", "./job", "\x1b[1m\xff\n x"}, "to run this one again", 0, "succeeded", 2},
		"a policy that is replaced":  {"idem run --key k -- ./job fails", []string{"--key", "k", "--on-failure", "refuse", "--", "./job", "fails"}, "to run it again now", 1, "failed", 2},
		"cut":                        {"idem run --key k --max-output 2 -- ./job a", []string{"--key", "k", "--", "./job", "a"}, "to accept a part", 0, "succeeded", 1},
		"interrupted, done":          {"idem run --key k -- sh -c 'kill -9 $PPID'", []string{"--key", "k", "--", "sh", "-c", "kill -9 $PPID"}, "if it succeeded", 0, "succeeded", 0},
		"no key":                     {"", []string{"--", "./job", "a"}, "to run it once and never again", 0, "", 1},
		"an empty part":              {"", []string{"--key", "k:", "--", "./job", "a"}, "if the part is meant", 0, "", 1},
		"not executable":             {"chmod -x job", []string{"--key", "k", "--", "./job", "a"}, "to run it with sh", 0, "succeeded", 1},
		"an unsafe place":            {"mkdir -m 777 w; chmod 777 w", []string{"--ledger", "w/l", "--key", "k", "--", "./job", "a"}, "if no other user", 0, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			b.write("job", "#!/bin/sh\necho x >>side\necho \"did $*\"\ntest \"$1\" != fails\n")
			if err := os.Chmod(b.path("job"), 0o755); err != nil {
				t.Fatal(err)
			}
			b.sh(c.before)
			a := b.answer(b.run(append([]string{"run", "--json"}, c.call...)...))
			command := b.hint(a, c.purpose)
			r := b.wantStatus(b.sh(command), c.status)
			if strings.HasPrefix(command, "idem run ") {
				if again := b.answer(r); again.Status != c.status || again.Stdout.Bytes == 0 {
					t.Errorf("%s: got %+v, want the output of the job", command, again)
				}
			}
			if c.state != "" {
				b.wantState("k", c.state)
			}
			b.wantLines("side", c.side)
		})
	}
}

// A process that the command left behind does not delay the object, and neither does a
// signal between two attempts.
func TestE2EJSONEnds(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	r := b.wantStatus(b.run("run", "--json", "--key", "left", "--", "sh", "-c", "sleep 1000 & echo hi; echo err >&2"), 0)
	if a := b.answer(r); a.Stdout.Text != "hi\n" || a.Stderr.Text != "err\n" {
		t.Errorf("got %+v, want both outputs", a)
	}
	c := b.idem("run", "--json", "--key", "retried", "--retries", "5", "--retry-delay", "1h", "--", "sh", "-c", "echo out; echo x >>side; exit 3")
	b.waitLines("side", 1)
	b.waitUntil("the attempt is recorded", func() bool { return b.show("retried").State == "failed" })
	c.kill(syscall.SIGTERM)
	if a := b.answer(c.wait()); a.Stdout.Text != "out\n" || a.Status != 143 || a.Action != "executed" {
		t.Errorf("got %+v, want the output and the status of the signal", a)
	}
}
