package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/internal/rig"
)

// soakKeys is small, so that the callers compete for keys.
const soakKeys = 12

// soakRun is one run of the part soak.
type soakRun struct {
	*load
	journalDir string // also has the locks of the commands
	mu         sync.Mutex
	alive      map[*exec.Cmd]bool // running calls, which may be killed
	codes      map[string]int     // number of calls by name and status: "run 75"
	times      []time.Duration    // durations of the runs that were not killed
	err        error              // the first error
	kills      int
	// cutForgets has the keys of which a forget was killed. The forget may have removed
	// the record and not yet the files of output.
	cutForgets map[string]bool
}

// allowedStatus has the statuses with which a call may end, apart from death by SIGKILL.
var allowedStatus = map[string][]int{
	"run":    {0, commandFails, 75, 79},
	"list":   {0},
	"check":  {0, 1, 75, 79},
	"forget": {0, 1, 75},
}

// soak has callers of a few keys, random kills of their calls, and concurrent calls of
// list, check and forget.
func soak(l *load) error {
	b := &soakRun{load: l, journalDir: filepath.Join(l.dir, "journals"), alive: map[*exec.Cmd]bool{}, codes: map[string]int{}, cutForgets: map[string]bool{}}
	if err := os.Mkdir(b.journalDir, 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.last)
	defer cancel()
	var wg sync.WaitGroup
	callers := max(l.callers/10, 4)
	for range callers {
		wg.Go(func() { b.repeat(ctx, b.run) })
	}
	for _, more := range []func(){b.list, b.check, b.forget, b.forget, b.forget, b.kill} {
		wg.Go(func() { b.repeat(ctx, more) })
	}
	wg.Wait()
	l.Count("callers", callers)
	l.Count("keys", soakKeys)
	l.Measure("seconds", l.last.Seconds())
	return b.report()
}

func (b *soakRun) repeat(ctx context.Context, f func()) {
	for ctx.Err() == nil && b.failed() == nil {
		f()
	}
}

func (b *soakRun) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *soakRun) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

func anyKey() string { return fmt.Sprintf("soak:%d", rand.IntN(soakKeys)) }

// call calls idem and returns its status, negative for a signal, and its stdout. The
// output goes to files, because processes that outlive a killed idem would hold a pipe
// open.
func (b *soakRun) call(args ...string) (int, string) {
	out, err := os.CreateTemp(b.journalDir, "out")
	if err != nil {
		b.fail(err)
		return -1, ""
	}
	defer os.Remove(out.Name())
	defer out.Close()
	errs, err := os.CreateTemp(b.journalDir, "err")
	if err != nil {
		b.fail(err)
		return -1, ""
	}
	defer os.Remove(errs.Name())
	defer errs.Close()
	c := exec.Command(b.idem, args...)
	c.Env = rig.Environ(b.environ("ledger")...)
	c.Stdout, c.Stderr = out, errs
	begin := time.Now()
	if err := c.Start(); err != nil {
		b.fail(err)
		return -1, ""
	}
	b.mu.Lock()
	b.alive[c] = true
	b.mu.Unlock()
	_ = c.Wait() // the process state has the details
	took := time.Since(begin)
	code := c.ProcessState.ExitCode()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		code = -int(ws.Signal())
	}
	b.mu.Lock()
	delete(b.alive, c)
	b.codes[fmt.Sprintf("%s %d", args[0], code)]++
	if args[0] == "run" && code != -int(unix.SIGKILL) {
		b.times = append(b.times, took)
	}
	b.mu.Unlock()
	if code != -int(unix.SIGKILL) && !slices.Contains(allowedStatus[args[0]], code) {
		said, _ := os.ReadFile(errs.Name())
		b.fail(fmt.Errorf("idem %s ended with %d: %s", strings.Join(args, " "), code, strings.TrimSpace(string(said))))
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		b.fail(err)
	}
	return code, string(text)
}

func (b *soakRun) run() {
	b.runKey(anyKey(), []string{"refuse", "rerun", "rerun", "rerun"}[rand.IntN(4)], []string{"0s", "50ms", "1s"}[rand.IntN(3)])
}

// runKey makes one call and acknowledges a success. The reply begins with the
// run ID.
func (b *soakRun) runKey(key, interrupted, wait string) int {
	code, out := b.call("run", "--key", key, "--on-interrupted", interrupted, "--wait="+wait, "--", b.self, "work", b.journalDir, key)
	if code == 0 {
		run, rest, _ := strings.Cut(out, "\n")
		if strings.Trim(rest, ".") != "" || len(rest) != padding(run) {
			b.fail(fmt.Errorf("a reply of %s is not what run %q wrote", key, run))
		}
		b.note(key, "ack", run)
	}
	return code
}

func (b *soakRun) list() { b.call("list") }

func (b *soakRun) check() { b.call("check", anyKey()) }

func (b *soakRun) forget() {
	key := anyKey()
	b.note(key, "forget", "-")
	code, _ := b.call("forget", key)
	if code == -int(unix.SIGKILL) {
		b.mu.Lock()
		b.cutForgets[key] = true
		b.mu.Unlock()
	}
	switch code {
	case 0, -int(unix.SIGKILL): // a killed call may have removed the key
		b.note(key, "forgotten", "-")
	default:
		b.note(key, "kept", "-")
	}
	time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
}

func (b *soakRun) kill() {
	time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.alive { // map order is random
		if c.Process.Kill() == nil {
			b.kills++
		}
		return
	}
}

// report checks the journals and the ledger after the last call.
func (b *soakRun) report() error {
	b.finishKeys()
	if b.err == nil {
		b.err = b.awaitCommands()
	}
	var starts, ends, acks int
	for i := range soakKeys {
		key := fmt.Sprintf("soak:%d", i)
		c, err := checkJournal(b.journal(key))
		starts, ends, acks = starts+c.starts, ends+c.ends, acks+c.acks
		if err != nil && b.err == nil {
			b.err = fmt.Errorf("%s: %w", key, err)
		}
	}
	b.Count("kills", b.kills)
	for _, name := range slices.Sorted(maps.Keys(b.codes)) {
		b.Count("calls that ended so: "+name, b.codes[name])
	}
	b.Count("executions", starts)
	b.Count("executions that ended well", ends)
	b.Count("acknowledged successes", acks)
	b.Add("time of a run", "that was not killed")
	b.load.addTimes(b.times)
	attempts, err := rig.Integrity(filepath.Dir(b.dir), filepath.Join(b.dir, "ledger"))
	runs := map[string]bool{}
	for _, a := range attempts {
		runs[a.Run] = true
	}
	for key := range b.cutForgets {
		for _, line := range b.journal(key) {
			if run, ok := strings.CutPrefix(line, "start "); ok {
				runs[run] = true
			}
		}
	}
	err = errors.Join(b.err, err, b.checkLeft("ledger", runs))
	if err == nil && ends == 0 {
		err = errors.New("nothing was executed")
	}
	return err
}

// finishKeys calls every key until it succeeds. No key may be stuck.
func (b *soakRun) finishKeys() {
	for i := range soakKeys {
		key := fmt.Sprintf("soak:%d", i)
		for tries := 0; b.failed() == nil && b.runKey(key, "rerun", "10s") != 0; tries++ {
			if tries == 50 {
				b.fail(fmt.Errorf("%s does not come to an end", key))
			}
		}
	}
}

// awaitCommands waits for the last command. Each command holds a shared lock.
func (b *soakRun) awaitCommands() error {
	f, err := os.OpenFile(filepath.Join(b.journalDir, "alive"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
