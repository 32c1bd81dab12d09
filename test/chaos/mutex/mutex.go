// Package mutex is the part "mutex" of chaos. Callers of several keys call idem run with
// random mutexes, waiting and not, while a killer sends SIGKILL to idem, to calls that
// wait, to commands, and to process groups.
//
//	go run ./test/chaos mutex [--keys N] [--kills N]
//
// Each command takes locks that are independent of idem, and logs in a journal.
// So an overlap within a mutex is seen twice: by these locks and in the journal. In the end
// every call must have ended, and every mutex must be free.
package mutex

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"idem/test/chaos/lab"
)

// callers is the number of callers of each key.
const callers = 2

// sets are the values of --mutex from which a call chooses. The limits of a and b are 1.
// The limit of c is 3, and a call with the limit 1 excludes all other calls with c.
var sets = [][]string{{"a"}, {"b"}, {"b", "a"}, {"a", "b"}, {"c:3"}, {"c:3"}, {"c:3", "a"}, {"c"}}

// The promises, as the figures name them.
const (
	noOverlap  = "overlaps within a mutex"
	noSameKey  = "overlapping executions of a key"
	noHistory  = "histories in which a mutex has too many holders"
	noLostWake = "calls that were not woken"
	noOddity   = "unexpected ends of a call"
	noFault    = "faults of the ledger"
	noLeft     = "mutexes, files, locks and processes left behind"
)

var promises = []string{noOverlap, noSameKey, noHistory, noLostWake, noOddity, noFault, noLeft}

type mutexTest struct {
	*lab.Lab
	ledger  string
	journal *lab.Journal
	budget  atomic.Int64 // remaining kills
	kills   kills
	waits   atomic.Int64 // calls with --wait
	refused atomic.Int64 // status 75

	mu     sync.Mutex
	faults []lab.Fault
}

// kills counts the kills that hit a process.
type kills struct{ idem, waiter, command, group, leftover int }

func (k kills) total() int { return k.idem + k.waiter + k.command + k.group + k.leftover }

// Run makes the calls and the kills, and checks the promises.
func Run(l *lab.Lab) error {
	r := &mutexTest{Lab: l, ledger: filepath.Join(l.Dir, "ledger")}
	for _, name := range []string{"calls", "locks", "tmp"} {
		if err := os.Mkdir(filepath.Join(l.Dir, name), 0o700); err != nil {
			return err
		}
	}
	var err error
	if r.journal, err = lab.OpenJournal(r.journalPath()); err != nil {
		return err
	}
	keys, goal := 20, 500
	if l.Quick {
		goal = 60
	}
	if l.Keys > 0 {
		keys = l.Keys
	}
	if l.Kills > 0 {
		goal = l.Kills
	}
	r.budget.Store(int64(goal))
	begin := time.Now()
	r.work(keys)
	seconds := time.Since(begin).Seconds()
	if err := r.report(keys, seconds); err != nil {
		return err
	}
	if n := r.kills.total(); n < goal {
		return fmt.Errorf("only %d kills of %d", n, goal)
	}
	return nil
}

func (r *mutexTest) journalPath() string { return filepath.Join(r.Dir, "journal") }
func (r *mutexTest) tmp() string         { return filepath.Join(r.Dir, "tmp") }

func (r *mutexTest) fail(promise, key, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, lab.Fault{Promise: promise, Key: key, What: fmt.Sprintf(format, args...), At: -1})
}

// work runs the callers and the killer until the kills are made and the calls have ended.
// A call that does not end within lab.Patience after that is killed.
func (r *mutexTest) work(keys int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group, killer sync.WaitGroup
	for i := range keys {
		for n := range callers {
			group.Go(func() { r.callRepeatedly(ctx, i, n) })
		}
	}
	killer.Go(func() { r.killRandomly(ctx) })
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	r.watch(done)
	cancel() // this kills the calls that are left
	<-done
	killer.Wait()
}

// quiet is how long no command may be alive while calls wait. A call begins within a few
// milliseconds when its mutexes are free.
const quiet = 20 * time.Second

// watch waits for done. It reports calls that wait while no command is alive.
func (r *mutexTest) watch(done <-chan struct{}) {
	active, killed := time.Now(), time.Now()
	for {
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
		idle := true
		for _, p := range r.Scan() {
			idle = idle && p.Role != lab.RoleCommand && p.Role != lab.RoleHelper
		}
		if !idle {
			active = time.Now()
		}
		if r.budget.Load() > 0 {
			killed = time.Now()
		}
		if time.Since(active) > quiet || time.Since(killed) > lab.Patience {
			r.fail(noLostWake, "", "no command for %v, no kill for %v; the mutexes:\n%s", time.Since(active).Round(time.Second),
				time.Since(killed).Round(time.Second), r.callIdem(context.Background(), "watch", "watch", "list", "--mutexes").Stdout())
			r.budget.Store(0)
			return
		}
	}
}

// callIdem calls idem in a separate process group and waits for its end. It kills idem
// when ctx is done.
func (r *mutexTest) callIdem(ctx context.Context, id, file string, args ...string) lab.Call {
	cmd := exec.CommandContext(ctx, r.Idem, args...)
	cmd.Env = append(r.Environ(r.ledger, id), "TMPDIR="+r.tmp())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return lab.Finish(cmd, (*exec.Cmd).Start, id, filepath.Join(r.Dir, "calls", file))
}

// callRepeatedly is one caller of a key. Its calls execute the command also after a
// success, a failure and an interruption.
func (r *mutexTest) callRepeatedly(ctx context.Context, key, number int) {
	rng := rand.New(rand.NewPCG(r.Seed, uint64(key*callers+number)))
	name := fmt.Sprintf("k%02d", key)
	for n := 0; ctx.Err() == nil && r.budget.Load() > 0; n++ {
		id := fmt.Sprintf("%s/%d.%d", name, number, n)
		set := sets[rng.IntN(len(sets))]
		args := []string{"run", "--key", name, "--hash", "none", "--force", "--on-interrupted", "rerun"}
		for _, m := range set {
			args = append(args, "--mutex", m)
		}
		forever := false
		d := rng.IntN(10)
		if d < 8 {
			r.waits.Add(1)
		}
		switch {
		case d < 6:
			args, forever = append(args, "--wait"), true
		case d < 8:
			args = append(args, fmt.Sprintf("--wait=%dms", 50+rng.IntN(500)))
		}
		if rng.IntN(3) == 0 { // the command gets a separate process group
			args = append(args, "--timeout", "1h")
		}
		command := []string{"--", r.Self, "mutex-command", r.journalPath(), filepath.Join(r.Dir, "locks"), strconv.FormatUint(rng.Uint64(), 10), strings.Join(set, ",")}
		r.journal.Add(lab.Event{Kind: lab.Called, Call: id})
		c := r.callIdem(ctx, id, fmt.Sprintf("%s.%d", name, number), append(args, command...)...)
		r.journal.Add(lab.Event{Kind: lab.Returned, Call: id, Code: c.Code})
		switch c.Code {
		case 0, commandFails, -lab.SigKill:
		case lab.ExitBusy:
			r.refused.Add(1)
			if forever {
				r.fail(noOddity, name, "call %s was refused although it waits: %s", id, c.Stderr())
			}
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond)
		default:
			if ctx.Err() == nil {
				r.fail(noOddity, name, "call %s: status %d: %s", id, c.Code, c.Stderr())
			}
		}
	}
}
