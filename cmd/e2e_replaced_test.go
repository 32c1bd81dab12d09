package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// failpointBinary builds idem with the failpoints of internal/failpoint, at
// which a test can pause it.
var failpointBinary = sync.OnceValue(func() string {
	path := filepath.Join(binary(), "idem-pausing") // is removed with the directory of binary
	build := exec.Command("go", "build", "-tags", "failpoint", "-o", path, "idem")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("go build: %v\n%s", err, out))
	}
	return path
})

// pausedAt is a call of idem that waits at a failpoint.
type pausedAt struct {
	*call
	pipe string
}

// pauseAt calls idem and returns when it has reached the failpoint.
func (b *box) pauseAt(point string, args ...string) pausedAt {
	b.t.Helper()
	pipe := filepath.Join(b.dir, "hold")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		b.t.Fatal(err)
	}
	h := pausedAt{b.start(append([]string{failpointBinary()}, args...), func(c *exec.Cmd) {
		c.Env = append(c.Env, "IDEM_FAILPOINT="+point, "IDEM_FAILPOINT_HOLD="+pipe)
	}), pipe}
	b.waitUntil("point "+point, func() bool {
		_, err := os.Stat(pipe + ".reached")
		return err == nil || !h.running()
	})
	if !h.running() {
		b.t.Fatalf("%s: got an ended call %+v, want it to reach the failpoint", point, h.wait())
	}
	return h
}

// resume lets a paused call continue and returns its result.
func (h pausedAt) resume() result {
	h.b.t.Helper()
	f, err := os.OpenFile(h.pipe, os.O_WRONLY, 0)
	if err != nil {
		h.b.t.Fatal(err)
	}
	f.Close()
	return h.wait()
}

// ledgerReplacements are shell commands that move, remove or replace the ledger
// during a run. Each leaves the ledger that the run has opened in old, unless
// it removes it.
var ledgerReplacements = map[string]string{
	"moved away":                `mv ledger old`,
	"moved away, a new one":     `mv ledger old; idem run --key other -- true`,
	"removed":                   `rm -r ledger`,
	"removed, a new one":        `rm -r ledger; idem run --key other -- true`,
	"replaced by a copy":        `cp -a ledger copy; mv ledger old; mv copy ledger`,
	"replaced and put back":     `mv ledger old; idem run --key other -- true; mv ledger new; mv old ledger`,
	"a copy, then put back":     `cp -a ledger copy; mv ledger old; mv copy ledger; mv ledger copy; mv old ledger`,
	"replaced by an older copy": `cp -a before old2; mv ledger old; mv old2 ledger`,
}

// runSteps are failpoints of a run, in order.
var runSteps = []string{
	"claim.before", "claim.taken", "begin.life", "write.begun", "write.commit", "write.committed", "write.witnessed",
	"fork.before", "spool.made", "finish.output", "write.commit:2", "write.committed:2", "finish.done", "release.after",
}

// The ledger is moved, removed or replaced during a run. The run writes to the
// ledger that it has opened, or to none. The replacement is never harmed, and
// neither ledger lets a key run twice.
func TestE2EReplacedUnderARun(t *testing.T) {
	t.Parallel()
	for name, swap := range ledgerReplacements {
		for _, point := range runSteps {
			t.Run(name+"/"+point, func(t *testing.T) {
				t.Parallel()
				replacedAt(t, point, swap)
			})
		}
	}
}

func replacedAt(t *testing.T, point, swap string) {
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "first", "--", "true"), 0)
	b.wantStatus(b.sh("cp -a ledger before; idem run --key second -- true"), 0)
	// This is more output than the memory buffer holds, so there is a file of it.
	work := []string{"run", "--key", "k", "--", "sh", "-c", "echo x >>side; head -c 100000 /dev/zero"}
	h := b.pauseAt(point, work...)
	b.wantStatus(b.sh("set -e; "+swap), 0)
	r := h.resume()
	ran := b.lines("side")
	// An outcome that was recorded before the ledger was replaced is a success.
	recorded := strings.HasPrefix(point, "release.")
	switch {
	case r.code == 69 && ran == 0:
	case r.code == 125 && ran == 1 && !recorded:
		if !strings.Contains(r.err, "while it was in use") {
			t.Errorf("stderr: got %s, want it with %q", r.err, "while it was in use")
		}
	case r.code == 0 && ran == 1 && recorded:
	case r.code == 0 && ran == 1:
		// A success says that the outcome is recorded, so the ledger at the path
		// has it.
		if r := b.run(work...); r.code != 0 || len(r.out) != 100000 {
			t.Errorf("got status %d and %d bytes after a success, want a replay: %s", r.code, len(r.out), r.err)
		}
		b.wantLines("side", 1)
	default:
		t.Errorf("got status %d and %d executions, want agreement: %s", r.code, ran, r.err)
	}
	// Each remaining ledger still works, and none lets k run a second time.
	for _, place := range []string{"ledger", "old", "new", "copy"} {
		if _, err := os.Stat(b.path(place + "/ledger.db")); err != nil {
			continue
		}
		b.setLedger(b.path(place))
		for _, key := range []string{"first", "later", "later2"} {
			if r := b.run("run", "--key", key, "--", "true"); r.code != 0 {
				t.Errorf("%s, %s: got status %d and stderr %s, want 0", place, key, r.code, r.err)
			}
		}
		if out := b.run("list", "--json"); !strings.Contains(out.out, `"k"`) {
			continue // the key was moved to that ledger before, or the ledger has forgotten it
		}
		before := b.lines("side")
		again := b.run(work...)
		if extra := b.lines("side") - before; extra > 0 && ran > 0 || again.code != 0 && again.code != 79 {
			t.Errorf("%s: got %d executions and %d more, status %d and stderr %s, want none more", place, ran, extra, again.code, again.err)
		}
	}
}

// makeSteps are failpoints of a run that creates the ledger.
var makeSteps = []string{
	"make.dir", "make.locked", "make.readme", "make.output", "make.empty", "make.wal", "migrate.commit", "make.tables",
	"make.locks", "make.synced", "make.closed", "secret.written", "secret.named",
}

// The ledger is moved, removed or replaced while it is created. No ledger
// consists of parts of two.
func TestE2EReplacedWhileItIsMade(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"moved away", "moved away, a new one", "removed, a new one", "replaced and put back"} {
		for _, point := range makeSteps {
			t.Run(name+"/"+point, func(t *testing.T) {
				t.Parallel()
				b := newBox(t)
				work := []string{"run", "--key", "k", "--hash-env", "HOME", "--", "sh", "-c", "echo x >>side"}
				h := b.pauseAt(point, work...)
				b.wantStatus(b.sh("set -e; "+ledgerReplacements[name]), 0)
				r := h.resume()
				ran := b.lines("side")
				if r.code != 69 && r.code != 0 || ran != map[int]int{0: 1, 69: 0}[r.code] {
					t.Errorf("got status %d and %d executions, want agreement: %s", r.code, ran, r.err)
				}
				for _, place := range []string{"ledger", "old", "new"} {
					if _, err := os.Stat(b.path(place)); err != nil {
						continue
					}
					b.setLedger(b.path(place))
					for range 2 {
						if r := b.run("run", "--key", "other", "--hash-env", "HOME", "--on-mismatch", "rerun", "--", "true"); r.code != 0 {
							t.Errorf("%s: got status %d and stderr %s, want 0", place, r.code, r.err)
						}
					}
				}
				b.setLedger(b.path("ledger"))
				b.wantStatus(b.run(work...), 0)
				b.wantStatus(b.run(work...), 0)
				b.wantLines("side", 1)
			})
		}
	}
}

// The ledger is moved away during mark or forget. idem does not report a change
// at the path.
func TestE2EReplacedUnderAMark(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"mark", "done", "--force", "k"}, {"mark", "retry", "--force", "k"}, {"forget", "k"}} {
		for _, point := range []string{"claim.before", "claim.taken", "write.begun", "write.committed"} {
			b := newBox(t)
			b.wantStatus(b.run("run", "--key", "k", "--", "true"), 0)
			h := b.pauseAt(point, args...)
			b.wantStatus(b.sh("set -e; "+ledgerReplacements["moved away, a new one"]), 0)
			if r := h.resume(); r.code != 69 || !strings.Contains(r.err, "while it was in use") {
				t.Errorf("%q at %s: got status %d and stderr %s, want 69 and the reason", args, point, r.code, r.err)
			}
			b.wantStatus(b.run("run", "--key", "later", "--", "true"), 0)
			b.setLedger(b.path("old"))
			b.wantStatus(b.run("run", "--key", "later", "--", "true"), 0)
		}
	}
}
