package cmd_test

import (
	"os"
	"strings"
	"testing"
)

// An unreadable directory is an error for a pattern that reaches into it, and
// so is an unreadable file in a hashed directory.
func TestE2EUnreadableInputs(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.useUnprivilegedUser()
	b.wantStatus(b.sh("mkdir -p src/a/closed src/b && echo x >src/a/closed/x.ts && echo y >src/b/y.ts && echo z >src/b/hidden"), 0)
	b.wantStatus(b.run("run", "--key", "k", "--hash-file", "src/**/*.ts", "--", "true"), 0)
	if err := os.Chmod(b.path("src/a/closed"), 0o000); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Chmod(b.path("src/a/closed"), 0o700) }()
	if err := os.Chmod(b.path("src/b/hidden"), 0o000); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"src/**/*.ts", "src/a/*/x.ts", "src/*/*/*.ts", "src/*/closed/*", "src", "src/b/*", "src/b", "src/b/hidden"} {
		for _, flag := range []string{"--hash-file", "--hash-file-optional"} {
			r := b.wantStatus(b.run("run", "--key", "new", flag, pattern, "--", "touch", "side"), 64)
			if !strings.HasPrefix(r.err, "idem: "+flag+": ") || !strings.HasSuffix(r.err, ": permission denied\n") {
				t.Errorf("%s %s: got stderr %s, want permission denied", flag, pattern, r.err)
			}
		}
	}
	b.wantStatus(b.run("run", "--key", "other", "--hash-file", "src/b/*.ts", "--", "true"), 0)
	b.wantLines("side", 0)
}

// A replay that prints no note does not open the script.
func TestE2EReplayDoesNotLookAtTheScript(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := newBox(t)
	b.wantStatus(b.sh("printf '#!/bin/sh\n:\n' >deploy.sh; chmod +x deploy.sh"), 0)
	look := func(flags ...string) int {
		t.Helper()
		argv := append([]string{"strace", "-f", "-qq", "-e", "trace=file", "-e", "signal=none", "-o", b.path("strace"), "idem", "run", "--key", "k"}, flags...)
		b.wantStatus(b.start(append(argv, "--", "./deploy.sh")).wait(), 0)
		n := 0
		for line := range strings.Lines(b.read("strace")) {
			if strings.Contains(line, "deploy.sh") && !strings.Contains(line, "execve(") {
				n++
			}
		}
		return n
	}
	look()
	if n := look(); n > 0 {
		t.Errorf("got %d accesses of the script in a replay, want 0:\n%s", n, b.read("strace"))
	}
	if n := look("-v"); n == 0 {
		t.Error("got no access of the script in a replay with -v, want one")
	}
}

// On a terminal, a replay prints a note if the script was edited.
func TestE2EReplayOnATerminalTellsOfTheScript(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.sh("printf '#!/bin/sh\necho one\n' >deploy.sh; chmod +x deploy.sh"), 0)
	b.wantStatus(b.run("run", "--key", "k", "--", "./deploy.sh"), 0)
	b.wantStatus(b.sh("printf '#!/bin/sh\necho two\n' >deploy.sh"), 0)
	x := b.open("bash", "-c", binary()+"/idem run --key k -- ./deploy.sh; echo done")
	x.waitShown("file ./deploy.sh has changed since it ran")
	x.waitShown("hint: to make it an input, add before the command: --hash-file ./deploy.sh")
	x.waitShown("done")
	if r := b.run("run", "--key", "k", "--", "./deploy.sh"); r.err != "" || r.out != "one\n" {
		t.Errorf("got %+v, want no stderr and stdout %q", r, "one\n")
	}
}
