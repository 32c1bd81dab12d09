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

// redactSecret is in two parts, because a shell script must not be an argument
// that has it.
const (
	redactFirst, redactThen = "hunter2-", "s3cret-9f8e7d"
	redactSecret            = redactFirst + redactThen
)

// newRedactBox is a box with the secret in the environment.
func newRedactBox(t *testing.T) *box {
	b := newBox(t)
	b.env = append(b.env, "TOKEN="+redactSecret, "FIRST="+redactFirst, "THEN="+redactThen)
	return b
}

// ledgerHas tells which files below the ledger's directory have text in them:
// all of them are looked at.
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
		b.t.Fatalf("saw %d files of the ledger, %v", seen, err)
	}
	return found
}

// clean checks that the secret is nowhere, but that what stands beside it is.
func (b *box) wantRedacted(beside string) {
	b.t.Helper()
	if found := b.ledgerHas(redactSecret); found != nil {
		b.t.Errorf("the secret is in %s", found)
	}
	if b.ledgerHas(beside) == nil {
		b.t.Errorf("%q is nowhere: nothing was recorded", beside)
	}
}

// The secret comes in two writes that idem is sure to read apart: the first is
// shown live, at once, before the second is made.
const redactSplit = `printf 'begin <%s' "$FIRST"; until [ -e go ]; do sleep 0.01; done; printf '%s> end\n' "$THEN"`

// A secret that straddles two reads.
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
				t.Errorf("half of the secret is in %s", found)
			}
			b.write("go", "")
			if r := c.wait(); r.code != 0 || r.out != "begin <"+redactSecret+"> end\n" {
				t.Fatalf("got %+v", r)
			}
			b.wantRedacted("begin <")
			if r := b.run(args...); r.out != "begin <[redacted]> end\n" {
				t.Errorf("replayed %q", r.out)
			}
		})
	}
}

// Both streams at once, over the edges of reads, in more output than waits in
// memory, with the secret in the arguments too.
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
		t.Fatalf("the live output has changed: status %d, %d and %d bytes", live.code, len(live.out), len(live.err))
	}
	b.wantRedacted("xxxx")
	if found := b.ledgerHas("4711-s3cret"); found != nil {
		t.Errorf("an argument is in %s", found)
	}
	r := b.run(append([]string{"run", "-q"}, args[1:]...)...)
	if r.out != strings.Repeat(line+"[redacted]\n", 20) || r.err != strings.Repeat("[redacted]\n", 20) {
		t.Errorf("replayed %d and %d bytes", len(r.out), len(r.err))
	}
}

// kill -9 of idem and its command in the middle of the secret, with a spool on
// disk, and what comes after.
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
				t.Errorf("half of the secret is in %s", found)
			}
			b.write("go", "")
			if r := b.run(args...); r.code != 0 || !strings.HasSuffix(r.out, "begin <"+redactSecret+"> end\n") {
				t.Fatalf("rerun: status %d, %s", r.code, r.err)
			}
			b.wantRedacted(beside)
			b.run("forget", "k")
			if found := b.ledgerHas(redactSecret); found != nil {
				t.Errorf("after forget, the secret is in %s", found)
			}
		})
	}
}

// What a slow reader has not taken, and a stdin that was hashed, lie raw in
// files without a name: they are gone with idem.
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
			if name, _ := os.Readlink(fd); !strings.HasPrefix(name, b.ledger) { // a pipe would not end
				continue
			}
			if content, err := os.ReadFile(fd); err == nil && bytes.Contains(content, []byte(redactSecret)) {
				n++
			}
		}
		return n
	}
	b.waitUntil("the backlog", func() bool { return raw() == 2 }) // stdin's is the other
	b.wantRedacted("\n999999\n")
	c.kill(syscall.SIGKILL)
	c.wait()
	b.wantRedacted("\n999999\n")
	b.write("go", "")
}

// Without the flags, the secret is found where these tests look for it.
func TestRedactTestsFindSecrets(t *testing.T) {
	for name, script := range map[string]string{"small": `printf %s "$TOKEN"`, "large": `seq 20000; printf %s "$TOKEN"`} {
		b := newRedactBox(t)
		b.run("run", "--key", "k", "--", "sh", "-c", script)
		if b.ledgerHas(redactSecret) == nil {
			t.Errorf("%s: it is nowhere", name)
		}
	}
}
