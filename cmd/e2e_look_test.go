package cmd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wantStatus checks an exit status, and that a refusal wrote nothing to stdout.
func (b *box) wantStatus(r result, code int) result {
	b.t.Helper()
	if r.code != code {
		b.t.Fatalf("got exit status %d, want %d; stdout %.200q, stderr:\n%s", r.code, code, r.out, r.err)
	}
	if code >= 64 && code <= 80 && code != 74 && r.out != "" {
		b.t.Errorf("got stdout %.200q of a call that started nothing, want none", r.out)
	}
	return r
}

func (b *box) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.dir, name)
}

// read returns a file's content, or "" if there is no file.
func (b *box) read(name string) string {
	b.t.Helper()
	p, err := os.ReadFile(b.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.t.Fatal(err)
	}
	return string(p)
}

func (b *box) write(name, content string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(content), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// script writes an executable file into the box's directory, which is in PATH of a
// recipeBox, and returns its path.
func (b *box) script(name, text string) string {
	b.t.Helper()
	if !strings.HasPrefix(text, "#!") {
		text = "#!/bin/sh\n" + text + "\n"
	}
	b.write(name, text)
	path := b.path(name)
	if err := os.Chmod(path, 0o755); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// lines returns the number of lines of a file. For the file side it is the
// number of executions of the command.
func (b *box) lines(name string) int { b.t.Helper(); return strings.Count(b.read(name), "\n") }

func (b *box) wantNoFile(name string) {
	b.t.Helper()
	if _, err := os.Lstat(b.path(name)); err == nil {
		b.t.Errorf("got the file %s, want none", name)
	}
}

func (b *box) wantLines(name string, n int) {
	b.t.Helper()
	if got := b.lines(name); got != n {
		b.t.Errorf("%s: got %d lines, want %d: %q", name, got, n, b.read(name))
	}
}

// waitUntil waits until ok returns true.
func (b *box) waitUntil(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(hangTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("got no success in time, want: %s", what)
		}
	}
}

// waitLines waits until a file has at least n lines.
func (b *box) waitLines(name string, n int) {
	b.t.Helper()
	b.waitUntil(fmt.Sprintf("%s has %d lines", name, n), func() bool { return b.lines(name) >= n })
}

// waitPID waits for a file that contains a pid and returns the pid.
func (b *box) waitPID(name string) int {
	b.t.Helper()
	b.waitLines(name, 1)
	pid, err := strconv.Atoi(strings.TrimSpace(b.read(name)))
	if err != nil {
		b.t.Fatal(err)
	}
	return pid
}

// procStat returns the state letter of proc(5) and the process group of a
// process, or "" if the process is gone.
func procStat(pid string) (state, group string) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, ok := strings.Cut(string(stat), ") ")
	if err != nil || !ok || rest[:1] == "Z" || rest[:1] == "X" {
		return "", ""
	}
	f := strings.Fields(rest)
	return f[0], f[2]
}

func procState(pid int) string {
	state, _ := procStat(strconv.Itoa(pid))
	return state
}

// groupAlive reports whether a process of the group is alive.
func groupAlive(group int) bool {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	return slices.ContainsFunc(dirs, func(dir string) bool {
		_, g := procStat(filepath.Base(dir))
		return g == strconv.Itoa(group)
	})
}

func (b *box) waitExit(pid int) {
	b.t.Helper()
	b.waitUntil(fmt.Sprintf("process %d ends", pid), func() bool { return procState(pid) == "" })
}

// record is the output of show --json for a key.
type record struct {
	State     string
	Reason    string `json:"end_reason"`
	ExitCode  *int   `json:"exit_code"`
	Signal    string
	Attempt   int
	Truncated bool
	Attempts  []record
}

func (b *box) show(key string) record {
	b.t.Helper()
	r := b.wantStatus(b.run("show", "--json", key), 0)
	var rec record
	if err := json.Unmarshal([]byte(r.out), &rec); err != nil {
		b.t.Fatalf("got %v in %s, want JSON", err, r.out)
	}
	return rec
}

func (b *box) wantState(key, state string) record {
	b.t.Helper()
	rec := b.show(key)
	if rec.State != state {
		b.t.Fatalf("key %s: got state %s, want %s", key, rec.State, state)
	}
	return rec
}

// listedState returns the state of a key in list, or "" if list does not have
// it.
func (b *box) listedState(key string) string {
	b.t.Helper()
	for line := range strings.Lines(b.wantStatus(b.run("list"), 0).out) {
		if f := strings.Split(line, "\t"); f[0] == key {
			return f[1]
		}
	}
	return ""
}
