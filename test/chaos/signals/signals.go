// Package signals is the part "signals" of chaos. On a terminal it sends each signal,
// from each sender, to each kind of command, with idem and without (table.go). Without a
// terminal it sends each signal in each phase of a call (phases.go).
//
//	go run ./test/chaos signals
//
// The figures count the signals and the cases that differ from the table, which
// must be 0. The table is also the source of docs/signals.md.
package signals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// quietTime is the time in which an unexpected signal would arrive.
const quietTime = 150 * time.Millisecond

// signalTest adds up the results.
type signalTest struct {
	*lab.Lab
	ledger    string
	delivered atomic.Int64

	mu     sync.Mutex
	faults []string
}

func Run(l *lab.Lab) error {
	r := &signalTest{Lab: l, ledger: filepath.Join(l.Dir, "ledger")}
	if err := adopt(true); err != nil {
		return err
	}
	defer func() { _ = adopt(false) }()
	rounds, each := 10, 1000
	if l.Quick {
		rounds, each = 1, 30
	}
	begin := time.Now()
	rng := rand.New(rand.NewPCG(l.Seed, 7))
	slots := make(chan struct{}, l.Parallel)
	var group sync.WaitGroup
	with, without := matrix(false), matrix(true)
	for round := range rounds {
		cells := append(append([]cell{}, with...), without...)
		rng.Shuffle(len(cells), func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
		for i, c := range cells {
			after := time.Duration(rng.IntN(30)) * time.Millisecond
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				r.runCell(c, filepath.Join(l.Dir, fmt.Sprintf("%02d.%03d", round, i)), after)
			})
		}
	}
	group.Wait()
	cells := len(r.faults)
	sent, late, twice := r.deliveries(each)

	t := &l.Figures
	t.Count("cells", len(with))
	t.Count("cells without idem", len(without))
	t.Count("times each", rounds)
	t.Count("signals that commands counted", int(r.delivered.Load()))
	t.Count("signals without a terminal", sent)
	t.Count("phases they came in", len(phases)+1)
	t.Count("of them after the end of the call", late)
	t.Count("of them while a command was about to end", twice)
	t.Add("seconds", "%.1f", time.Since(begin).Seconds())
	t.Count("cells that were not as expected", cells)
	t.Count("signals that were not as expected", len(r.faults)-cells)
	t.Print(os.Stdout)
	if len(r.faults) > 0 {
		return fmt.Errorf("%d were not as expected:\n%s", len(r.faults), strings.Join(r.faults, "\n"))
	}
	return nil
}

// runCell tests a cell and keeps the fault, if there is one.
func (r *signalTest) runCell(c cell, dir string, after time.Duration) {
	if err := r.checkCell(c, dir, after); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.faults = append(r.faults, fmt.Sprintf("  %v: %v", c, err))
	}
}

func (r *signalTest) checkCell(c cell, dir string, after time.Duration) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	key := filepath.Base(dir)
	command := r.commandOf(c, dir)
	job := command
	if !c.bare {
		job = append([]string{r.Idem, "run", "--key", key, "--"}, command...)
	}
	g, err := openTerminal(r.Self, dir, r.Wait, r.environ(), job)
	if err != nil {
		return err
	}
	defer g.close()
	time.Sleep(after)
	if err := g.send(c); err != nil {
		return err
	}
	want := c.expect()
	if err := r.checkEffect(c, want, g, key, command); err != nil {
		return err
	}
	if err := g.awaitGroupEnd(); err != nil {
		return err
	}
	if c.bare {
		return nil
	}
	return r.checkRecord(c, want, g, key, command)
}

// checkEffect checks the effect of the signal and the status of the job.
func (r *signalTest) checkEffect(c cell, want expectation, g *terminal, key string, command []string) error {
	counts := c.command == handler || c.command == session
	err := g.await("the effect", func() bool {
		return g.ended || (!want.stops || g.stopped) && !want.dies && (!counts || len(g.seen()) >= want.least)
	})
	if err != nil {
		return err
	}
	if !want.dies {
		time.Sleep(quietTime)
	}
	if g.isStopped() {
		if !c.bare {
			if n := r.call(g, key, command); n.code != lab.ExitBusy {
				return fmt.Errorf("while it is stopped, another call ends with %d: %s", n.code, n.stderr)
			}
		}
		if err := unix.Kill(-g.job, unix.SIGCONT); err != nil {
			return err
		}
	}
	stopped := g.isStopped()
	if err := g.endCommand(); err != nil {
		return err
	}
	seen := g.seen()
	r.delivered.Add(int64(len(seen)))
	for _, s := range seen {
		if s != unix.SignalName(c.signal) {
			return fmt.Errorf("the command saw %v", seen)
		}
	}
	if n := len(seen); counts && (n < want.least || n > want.most) {
		return fmt.Errorf("the command saw it %d times, not %s", n, want.sees())
	}
	if stopped != want.stops {
		return fmt.Errorf("stopped: %v, not %v", stopped, want.stops)
	}
	ends := unix.WaitStatus(0)
	if want.dies {
		ends = unix.WaitStatus(c.signal)
	}
	if got := g.status &^ 0x80; got != ends { // ignore the core flag
		return fmt.Errorf("it ended with %#x, not %#x", uint32(got), uint32(ends))
	}
	return nil
}

// checkRecord checks the record and the next call.
func (r *signalTest) checkRecord(c cell, want expectation, g *terminal, key string, command []string) error {
	show := exec.Command(r.Idem, "show", "--json", key)
	show.Env = r.environ()
	out, err := show.Output()
	if err != nil {
		return fmt.Errorf("idem show: %w", err)
	}
	var rec struct{ State, Signal string }
	if err := json.Unmarshal(out, &rec); err != nil {
		return err
	}
	if got := strings.TrimSuffix(rec.State+", "+rec.Signal, ", "); got != c.record(want) {
		return fmt.Errorf("the record says %s, not %s", got, c.record(want))
	}
	// The pipe becomes a file, so a new command ends at once.
	if err := os.Remove(g.file("wait")); err != nil {
		return err
	}
	if err := os.WriteFile(g.file("wait"), nil, 0o600); err != nil {
		return err
	}
	action := "replayed"
	if want.dies {
		action = "executed"
	}
	if n := r.call(g, key, command); n.code != 0 || n.stdout != atWork+"\n" || n.action != action {
		return fmt.Errorf("the next call %s with %d, not %s with 0: %q, %s", n.action, n.code, action, n.stdout, n.stderr)
	}
	return nil
}

// nextCall is the result of a later call.
type nextCall struct {
	code           int
	action         string
	stdout, stderr string
}

// call makes another call for the key, without a terminal. It kills a call that does not
// end.
func (r *signalTest) call(g *terminal, key string, command []string) (n nextCall) {
	meta := g.file("meta")
	ctx, cancel := context.WithTimeout(context.Background(), r.Wait/2)
	defer cancel()
	again := exec.CommandContext(ctx, r.Idem, append([]string{"run", "--key", key, "--meta-file", meta, "--"}, command...)...)
	again.Env = r.environ()
	again.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	again.Cancel = func() error { return unix.Kill(-again.Process.Pid, unix.SIGKILL) }
	var stdout, stderr strings.Builder
	again.Stdout, again.Stderr = &stdout, &stderr
	if err := again.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			return nextCall{code: -1, stderr: err.Error()}
		}
	}
	n = nextCall{code: lab.Status(again.ProcessState), stdout: stdout.String(), stderr: stderr.String()}
	var m struct{ Action string }
	if json.Unmarshal([]byte(lab.Read(meta)), &m) == nil {
		n.action = m.Action
	}
	return n
}

func (r *signalTest) environ() []string {
	return rig.Environ("IDEM_LEDGER="+r.ledger, lab.EnvLab+"="+r.Dir, lab.EnvCall+"="+"signals")
}
