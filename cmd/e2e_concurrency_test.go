package cmd_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// countingScript adds a line to the file side, prints to both streams and waits
// for the file go. It records an overlap if another execution runs at the same
// time. The line is added last, because a write to a pipe without a reader
// would end the script before it.
const countingScript = `
exec 8>>body.lock; flock -n 8 || echo overlap >>overlap
echo out; echo err >&2; echo x >>side
until [ -e go ]; do sleep 0.02; done
`

// Two callers of one key share one execution.
func TestE2EWaitShares(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	second := b.idem("run", "--key", "k", "--wait=60s", "--", "bash", "-c", countingScript)
	time.Sleep(200 * time.Millisecond) // give it time to begin waiting
	if !second.running() {
		t.Fatalf("got %+v of the second caller, want it to wait", second.wait())
	}
	b.write("go", "")
	for _, c := range []*call{first, second} {
		if r := b.wantStatus(c.wait(), 0); r.out != "out\n" || !strings.Contains(r.err, "err\n") {
			t.Errorf("got %+v, want stdout %q and stderr with %q", r, "out\n", "err\n")
		}
	}
	b.wantLines("side", 1)
}

// A duplicate is refused at once, or when its wait is over. The first call is
// not disturbed.
func TestE2EBusy(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	r := b.wantStatus(b.run("run", "--key", "k", "--", "bash", "-c", countingScript), 75)
	if !strings.Contains(r.err, fmt.Sprint(first.pid())) {
		t.Errorf("stderr: got %s, want the owner's pid %d", r.err, first.pid())
	}
	begin := time.Now()
	b.wantStatus(b.run("run", "--key", "k", "--wait=1s", "--", "bash", "-c", countingScript), 75)
	if waited := time.Since(begin); waited < time.Second {
		t.Errorf("got a wait of %v, want at least %v", waited, time.Second)
	}
	if !first.running() {
		t.Error("got an ended first caller, want it running")
	}
	// Other arguments are refused before any wait.
	b.wantStatus(b.run("run", "--key", "k", "--wait", "--", "true"), 65)
	b.write("go", "")
	b.wantStatus(first.wait(), 0)
	b.wantLines("side", 1)
}

// A waiting caller takes over after a failure and runs the command.
func TestE2EWaitTakesFailureOver(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	script := countingScript + `[ $IDEM_ATTEMPT = 2 ] || exit 3`
	first := b.idem("run", "--key", "k", "--", "bash", "-c", script)
	b.waitLines("side", 1)
	second := b.idem("run", "--key", "k", "--wait", "--", "bash", "-c", script)
	b.write("go", "")
	b.wantStatus(first.wait(), 3)
	b.wantStatus(second.wait(), 0)
	b.wantLines("side", 2)
	b.wantLines("overlap", 0)
}

// runAll starts n callers at once and returns their results.
func (b *box) runAll(n int, args func(i int) []string) []result {
	b.t.Helper()
	calls := make([]*call, n)
	for i := range calls {
		calls[i] = b.idem(args(i)...)
	}
	results := make([]result, n)
	for i, c := range calls {
		results[i] = c.wait()
	}
	return results
}

// 500 callers of one key get 500 equal results of one execution.
func TestE2EStormOnOneKey(t *testing.T) {
	b := newBox(t)
	script := `echo x >>side; printf 'a\0b'; echo err >&2; sleep 1`
	for i, r := range b.runAll(500, func(int) []string { return []string{"run", "--key", "k", "--wait", "-q", "--", "bash", "-c", script} }) {
		if r.code != 0 || r.out != "a\x00b" || r.err != "err\n" {
			t.Fatalf("caller %d: got %+v, want status 0 and both streams", i, r)
		}
	}
	b.wantLines("side", 1)
}

// 500 callers of 500 keys share a ledger that does not exist yet.
func TestE2EStormOnFreshKeys(t *testing.T) {
	b := newBox(t)
	for i, r := range b.runAll(500, func(i int) []string {
		return []string{"run", "--key", fmt.Sprint("k", i), "--", "bash", "-c", "echo x >>side; echo $IDEM_KEY"}
	}) {
		if want := fmt.Sprintf("k%d\n", i); r.code != 0 || r.out != want || r.err != "" {
			t.Fatalf("caller %d: got %+v, want stdout %q", i, r, want)
		}
	}
	b.wantLines("side", 500)
}

// 200 processes create the ledger at once.
func TestE2EStormOnFreshLedger(t *testing.T) {
	for round := range 2 {
		b := newBox(t)
		for i, r := range b.runAll(200, func(i int) []string {
			return []string{"run", "--key", fmt.Sprint("k", i%20), "--wait", "-q", "--", "bash", "-c", "echo x >>side.$IDEM_KEY"}
		}) {
			if r.code != 0 || r.err != "" {
				t.Fatalf("round %d, caller %d: got %+v, want status 0 and no stderr", round, i, r)
			}
		}
		for i := range 20 {
			b.wantLines(fmt.Sprint("side.k", i), 1)
		}
	}
}

// Different keys do not wait for each other. Each of 20 commands ends only when
// all 20 run.
func TestE2EKeysAreIndependent(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	script := `echo x >>side; until [ $(wc -l <side) = 20 ]; do sleep 0.1; done`
	for _, r := range b.runAll(20, func(i int) []string { return []string{"run", "--key", fmt.Sprint("k", i), "--", "bash", "-c", script} }) {
		b.wantStatus(r, 0)
	}
}

// A call for a key inside a command of the same key fails at once, also with
// another key between them. The outer runs continue.
func TestE2ERecursion(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "a", "--", "bash", "-c", `
		idem run --key a --wait -- true; echo $? >same
		idem run --key b -- bash -c 'idem run --key a --wait -- true 2>message; echo $? >between'
		idem run --key a --namespace other -- true; echo $? >other`), 0)
	for name, want := range map[string]string{"same": "64\n", "between": "64\n", "other": "0\n"} {
		if got := b.read(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(b.read("message"), "inside itself") {
		t.Errorf("message: got %s, want it with %q", b.read("message"), "inside itself")
	}
	b.wantState("a", "succeeded")
	b.wantState("b", "succeeded")
}

// Commands that only read disturb no other call.
func TestE2EListDisturbsNobody(t *testing.T) {
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "first", "--", "true"), 0)
	looking := b.start([]string{"bash", "-c", `until [ -e stop ]; do
		idem list >/dev/null && idem show first >/dev/null && idem check first || exit
		idem check k-0-$((RANDOM % 250)) 2>/dev/null; case $? in 0 | 1 | 75) ;; *) exit 9 ;; esac
	done`})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 250 {
				if r := b.run("run", "--key", fmt.Sprintf("k-%d-%d", w, i), "--", "true"); r.code != 0 {
					t.Errorf("got %+v, want status %d", r, 0)
					return
				}
			}
		})
	}
	wg.Wait()
	b.write("stop", "")
	b.wantStatus(looking.wait(), 0)
}

// --force never runs at the same time as another run, and adds an attempt after
// it.
func TestE2EForce(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	first := b.idem("run", "--key", "k", "--", "bash", "-c", countingScript)
	b.waitLines("side", 1)
	b.wantStatus(b.run("run", "--key", "k", "--force", "--", "bash", "-c", countingScript), 75)
	b.write("go", "")
	b.wantStatus(first.wait(), 0)
	b.wantStatus(b.run("run", "--key", "k", "--force", "--", "bash", "-c", countingScript), 0)
	b.wantLines("side", 2)
	b.wantLines("overlap", 0)
	if rec := b.wantState("k", "succeeded"); rec.Attempt != 2 || len(rec.Attempts) != 2 {
		t.Errorf("got %+v, want two attempts", rec)
	}
}
