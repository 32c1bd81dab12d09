package cmd_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// redactSecret is in two parts, because no argument may contain it and a shell
// script is an argument.
const (
	redactFirst, redactThen = "hunter2-", "s3cret-9f8e7d"
	redactSecret            = redactFirst + redactThen
)

// newRedactBox returns a box with the secret in the environment.
func newRedactBox(t *testing.T) *box {
	b := newBox(t)
	b.env = append(b.env, "TOKEN="+redactSecret, "FIRST="+redactFirst, "THEN="+redactThen)
	return b
}

// ledgerHas returns the files below the ledger's directory that contain text.
// It reads all of them.
func (b *box) ledgerHas(text string) []string {
	b.t.Helper()
	var found []string
	seen := 0
	err := filepath.WalkDir(b.ledger, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		seen++
		if bytes.Contains(content, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil || seen < 2 {
		b.t.Fatalf("got %d files of the ledger and error %v, want at least 2", seen, err)
	}
	return found
}

// wantRedacted checks that the ledger has no secret, but has the text next to
// it.
func (b *box) wantRedacted(beside string) {
	b.t.Helper()
	if found := b.ledgerHas(redactSecret); found != nil {
		b.t.Errorf("got the secret in %s, want it nowhere", found)
	}
	if b.ledgerHas(beside) == nil {
		b.t.Errorf("got no file with %q, want a record", beside)
	}
}

// redactSplit writes the secret in two writes that idem reads separately. idem
// shows the first one live before the second one is made.
const redactSplit = `printf 'begin <%s' "$FIRST"; until [ -e go ]; do sleep 0.01; done; printf '%s> end\n' "$THEN"`

// A secret that straddles two reads is redacted.
func TestRedactStraddlesReads(t *testing.T) {
	for name, flags := range map[string][]string{
		"env":   {"--redact-env", "TOKEN"},
		"regex": {"--redact", `hunter2-[\w-]+`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRedactBox(t)
			args := append(append([]string{"run", "--key", "k"}, flags...), "--", "sh", "-c", redactSplit)
			c := b.idem(args...)
			b.waitUntil("the first half", func() bool { return strings.HasSuffix(b.read(c.out), redactFirst) })
			if found := b.ledgerHas(redactFirst); found != nil {
				t.Errorf("got half of the secret in %s, want it nowhere", found)
			}
			b.write("go", "")
			if r := c.wait(); r.code != 0 || r.out != "begin <"+redactSecret+"> end\n" {
				t.Fatalf("got %+v, want status 0 and the secret live", r)
			}
			b.wantRedacted("begin <")
			if r := b.run(args...); r.out != "begin <[redacted]> end\n" {
				t.Errorf("replay: got %q, want %q", r.out, "begin <[redacted]> end\n")
			}
		})
	}
}

// Both streams have the secret across the edges of reads, in more output than
// the memory buffer holds. The arguments contain it too.
func TestRedactLargeOutput(t *testing.T) {
	b := newRedactBox(t)
	script := `
		i=0
		while [ $i -lt 20 ]; do
			head -c 65525 /dev/zero | tr '\0' x; printf '%s' "$TOKEN"; printf '%s' "$FIRST" >&2
			printf '%s\n' "$THEN" >&2; echo; i=$((i+1))
		done`
	args := []string{"run", "--key", "k", "--redact-env", "TOKEN", "--redact", `-u me:\S+`, "--", "sh", "-c", script, "sh", redactSecret, "-u me:4711-s3cret"}
	live := b.run(args...)
	line := strings.Repeat("x", 65525)
	if live.code != 0 || live.out != strings.Repeat(line+redactSecret+"\n", 20) || live.err != strings.Repeat(redactSecret+"\n", 20) {
		t.Fatalf("got status %d, %d and %d bytes, want status 0 and unchanged live output", live.code, len(live.out), len(live.err))
	}
	b.wantRedacted("xxxx")
	if found := b.ledgerHas("4711-s3cret"); found != nil {
		t.Errorf("got an argument in %s, want it nowhere", found)
	}
	r := b.run(append([]string{"run", "-q"}, args[1:]...)...)
	if r.out != strings.Repeat(line+"[redacted]\n", 20) || r.err != strings.Repeat("[redacted]\n", 20) {
		t.Errorf("replay: got %d and %d bytes, want redacted lines", len(r.out), len(r.err))
	}
}

// kill -9 ends idem and its command in the middle of the secret, with a spool
// on disk. The next call runs the command again.
func TestRedactSurvivesKill(t *testing.T) {
	for name, flags := range map[string][]string{
		"env":       {"--redact-env", "TOKEN"},
		"regex":     {"--redact", `hunter2-[\w-]+`},
		"no output": {"--no-store", "output"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRedactBox(t)
			script := `seq 20000; printf '%s-whole\n' "$TOKEN"; seq 20001 29999; ` + redactSplit
			args := append(append([]string{"run", "--key", "k", "--on-interrupted", "rerun"}, flags...), "--", "sh", "-c", script)
			c := b.idem(args...)
			b.waitUntil("the first half", func() bool { return strings.HasSuffix(b.read(c.out), redactFirst) })
			c.killAll()
			beside := "\n29999\n"
			if name == "no output" {
				beside = "20001" // in the arguments
			}
			b.wantRedacted(beside)
			if found := b.ledgerHas("begin <" + redactFirst); found != nil {
				t.Errorf("got half of the secret in %s, want it nowhere", found)
			}
			b.write("go", "")
			if r := b.run(args...); r.code != 0 || !strings.HasSuffix(r.out, "begin <"+redactSecret+"> end\n") {
				t.Fatalf("rerun: got status %d and stderr %s, want 0 and the whole output", r.code, r.err)
			}
			b.wantRedacted(beside)
			b.run("forget", "k")
			if found := b.ledgerHas(redactSecret); found != nil {
				t.Errorf("after forget: got the secret in %s, want it nowhere", found)
			}
		})
	}
}

// Output that a slow reader has not read, and a stdin that was hashed, are kept
// unredacted in unnamed files. These files disappear with idem.
func TestRedactRawFilesHaveNoName(t *testing.T) {
	b := newRedactBox(t)
	stalled, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	b.write("in", redactSecret)
	in, err := os.Open(filepath.Join(b.dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c := b.start([]string{
		"idem", "run", "--key", "k", "--hash-stdin", "--redact-env", "TOKEN", "--", "sh", "-c",
		`seq 1000000; yes "$TOKEN" | head -n 20000; touch done; until [ -e go ]; do sleep 0.01; done`,
	},
		stdout(w), func(c *exec.Cmd) { c.Stdin = in })
	w.Close()
	b.waitUntil("the output", func() bool { _, err := os.Stat(filepath.Join(b.dir, "done")); return err == nil })
	raw := func() (n int) {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", c.pid()))
		for _, fd := range fds {
			if name, _ := os.Readlink(fd); !strings.HasPrefix(name, b.ledger) { // reading a pipe would not end
				continue
			}
			if content, err := os.ReadFile(fd); err == nil && bytes.Contains(content, []byte(redactSecret)) {
				n++
			}
		}
		return n
	}
	b.waitUntil("the backlog", func() bool { return raw() == 2 }) // the other one is for stdin
	b.wantRedacted("\n999999\n")
	c.kill(syscall.SIGKILL)
	c.wait()
	b.wantRedacted("\n999999\n")
	b.write("go", "")
}

// Without the redaction flags, these tests find the secret.
func TestRedactTestsFindSecrets(t *testing.T) {
	for name, script := range map[string]string{"small": `printf %s "$TOKEN"`, "large": `seq 20000; printf %s "$TOKEN"`} {
		b := newRedactBox(t)
		b.run("run", "--key", "k", "--", "sh", "-c", script)
		if b.ledgerHas(redactSecret) == nil {
			t.Errorf("%s: got no file with the secret, want one", name)
		}
	}
}
