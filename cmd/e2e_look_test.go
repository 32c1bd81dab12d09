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

// want checks an exit status, and that a refusal wrote nothing to stdout.
func (b *box) wantStatus(r result, code int) result {
	b.t.Helper()
	if r.code != code {
		b.t.Fatalf("exit status %d, want %d; stdout %.200q, stderr:\n%s", r.code, code, r.out, r.err)
	}
	if code >= 64 && code <= 80 && code != 74 && r.out != "" {
		b.t.Errorf("stdout of a call that started nothing: %.200q", r.out)
	}
	return r
}

func (b *box) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.dir, name)
}

// read returns a file's content, "" for none.
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

// lines is how many lines a file has: how often a command has left its trace.
func (b *box) lines(name string) int { b.t.Helper(); return strings.Count(b.read(name), "\n") }

func (b *box) wantLines(name string, n int) {
	b.t.Helper()
	if got := b.lines(name); got != n {
		b.t.Errorf("%s has %d lines, want %d: %q", name, got, n, b.read(name))
	}
}

// until waits for something to become true.
func (b *box) waitUntil(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(hangTimeout); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// await waits for a file with at least n lines.
func (b *box) waitLines(name string, n int) {
	b.t.Helper()
	b.waitUntil(fmt.Sprintf("%s has %d lines", name, n), func() bool { return b.lines(name) >= n })
}

// awaitPID waits for a file with a pid in it.
func (b *box) waitPID(name string) int {
	b.t.Helper()
	b.waitLines(name, 1)
	pid, err := strconv.Atoi(strings.TrimSpace(b.read(name)))
	if err != nil {
		b.t.Fatal(err)
	}
	return pid
}

// procStat returns the letter of proc(5) and the process group of a process, ""
// when it is gone.
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

// lives tells whether a process of the group does.
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

// record is what show --json says of a key.
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
		b.t.Fatalf("%v in %s", err, r.out)
	}
	return rec
}

func (b *box) wantState(key, state string) record {
	b.t.Helper()
	rec := b.show(key)
	if rec.State != state {
		b.t.Fatalf("key %s is %s, want %s", key, rec.State, state)
	}
	return rec
}

// listed is the state of a key in list, "" when it is not there.
func (b *box) listedState(key string) string {
	b.t.Helper()
	for line := range strings.Lines(b.wantStatus(b.run("list"), 0).out) {
		if f := strings.Split(line, "\t"); f[0] == key {
			return f[1]
		}
	}
	return ""
}
