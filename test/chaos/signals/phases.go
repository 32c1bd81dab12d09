package signals

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// phase is a phase of a call. In each delivery, one signal is sent to idem, or to a
// command without it, at a random time after the start. The call is then in this
// phase or on the way to it. There is no terminal.
type phase struct {
	name string
	args []string // more flags of idem run, in which KEY is the key
	// command is the shell command that idem runs, with the directory of the delivery as $0.
	command string
	// stalled means that stdout of idem is a pipe that is not read.
	stalled bool
	// prepare makes the record that the phase needs. The function that it returns
	// is called at the end.
	prepare func(r *signalTest, dir, key string) (func(), error)
	// shared means that all deliveries use one record.
	shared bool
	// again means that the signal may reach the command while it is exiting. Then a
	// second signal ends the call, or the call ends without a retry.
	again bool
	// ends means that the call ends without a signal, so the signal may be too late.
	ends bool
	// states are the allowed states of the record afterwards. S is replaced by the name
	// of the signal. "" means no record.
	states []string
}

// sleepScript is a command that runs until a signal ends it. It writes its PID to a file.
const sleepScript = `echo $$ >"$0/pid"; exec sleep 60`

// holderScript is the command of another call for the key.
const holderScript = `echo $$ >"$0/holder"; exec sleep 60`

// bigOutput does not fit into a pipe. biggerOutput does not fit into a pipe when it is
// replayed from a file, either.
const (
	bigOutput    = "exec head -c 300000 /dev/zero"
	biggerOutput = "exec head -c 8000000 /dev/zero"
)

var phases = []phase{
	{name: "before and while the command runs", command: sleepScript, states: []string{"", "failed, S"}},
	{
		name: "while another call runs, with --wait", args: []string{"--wait"}, command: holderScript, states: []string{"running"},
		prepare: (*signalTest).holdKey,
	},
	{
		name: "while another key holds the mutex, with --wait", args: []string{"--wait", "--mutex", "KEY"}, command: sleepScript, states: []string{""},
		prepare: (*signalTest).holdMutex,
	},
	{name: "in the delay before a retry", args: []string{"--retries", "9", "--retry-delay", "1h"}, command: "exit 1", again: true, states: []string{"", "failed", "failed, S"}},
	{name: "in a hook", args: []string{"--hook", "start=exec sleep 60"}, command: "exit 0", states: []string{""}},
	{name: "in a probe", args: []string{"--probe-first", "--probe", "exec sleep 60"}, command: "exit 0", states: []string{""}},
	{
		name: "in a verification", args: []string{"--verify", "exec sleep 60"}, command: biggerOutput, shared: true, states: []string{"succeeded"},
		prepare: (*signalTest).recordSuccess,
	},
	{
		name: "in a replay whose reader stalls", command: biggerOutput, stalled: true, shared: true, states: []string{"succeeded"},
		prepare: (*signalTest).recordSuccess,
	},
	{name: "when the command is done and the reader stalls", command: bigOutput, stalled: true, again: true, states: []string{"", "failed, S", "succeeded"}},
	{name: "while a short call begins and ends", command: "exit 0", ends: true, states: []string{"", "failed, S", "succeeded"}},
}

// fatalSignals returns the signals that end a process by default and that can be caught.
func fatalSignals() (all []unix.Signal) {
	for n := unix.Signal(1); n <= 64; n++ {
		switch n {
		case unix.SIGKILL, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGCONT, unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH:
		default:
			all = append(all, n)
		}
	}
	return all
}

// maxDelay is the longest time from the start to the signal.
const maxDelay = 30 * time.Millisecond

// deliveries sends signals in every phase. It returns the number of signals, of those
// after the end of their call, and of calls that needed a second signal.
func (r *signalTest) deliveries(each int) (sent, late, twice int) {
	for _, s := range []os.Signal{unix.SIGHUP, unix.SIGINT} { // the commands would inherit an ignored signal
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	rng := rand.New(rand.NewPCG(r.Seed, 30))
	var missed, again atomic.Int64
	var group sync.WaitGroup
	slots := make(chan struct{}, min(r.Parallel, 4))
	all := fatalSignals()
	for number, p := range append([]phase{{name: "without idem", command: sleepScript}}, phases...) {
		first := rng.IntN(len(all))
		undo, err := r.prepare(p, p.shared, filepath.Join(r.Dir, fmt.Sprintf("d%d", number)))
		if err != nil {
			r.failPhase(p, 0, 0, err)
			continue
		}
		for i := range each {
			sig, after := all[(first+i)%len(all)], time.Duration(rng.Int64N(int64(maxDelay)))
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				dir := filepath.Join(r.Dir, fmt.Sprintf("d%d", number))
				if !p.shared {
					dir += fmt.Sprintf(".%04d", i)
				}
				came, err := r.deliver(p, number == 0, sig, dir, after)
				switch {
				case err != nil:
					r.failPhase(p, sig, after, err)
				case came == 0:
					missed.Add(1)
				case came == 2:
					again.Add(1)
				}
			})
			sent++
		}
		group.Wait()
		undo()
	}
	return sent, int(missed.Load()), int(again.Load())
}

func (r *signalTest) failPhase(p phase, sig unix.Signal, after time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf("  %s, signal %d %v after the start: %v", p.name, int(sig), after, err))
}

// prepare makes a directory and the record for deliveries, if asked is true.
func (r *signalTest) prepare(p phase, asked bool, dir string) (undo func(), err error) {
	if !asked {
		return func() {}, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil || p.prepare == nil {
		return func() {}, err
	}
	return p.prepare(r, dir, filepath.Base(dir))
}

// deliver makes a call, sends it a signal and checks the result. It returns the number of
// signals that reached the call: 0 if the call had ended before, and 2 if the first signal
// did not end it.
func (r *signalTest) deliver(p phase, bare bool, sig unix.Signal, dir string, after time.Duration) (came int, err error) {
	undo, err := r.prepare(p, !p.shared, dir)
	if err != nil {
		return 0, err
	}
	defer undo()
	argv := []string{"sh", "-c", p.command, dir}
	if !bare {
		call := []string{r.Idem, "run", "--key", filepath.Base(dir)}
		for _, arg := range p.args {
			call = append(call, strings.ReplaceAll(arg, "KEY", filepath.Base(dir)))
		}
		argv = append(append(call, "--"), argv...)
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Env = r.environ()
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	messages, err := os.CreateTemp(r.Dir, "stderr") // not a pipe, which a remaining process would hold open
	if err != nil {
		return 0, err
	}
	defer os.Remove(messages.Name())
	defer messages.Close()
	c.Stderr = messages
	if p.stalled {
		var ends [2]int // not os.Pipe, whose pipes do not block
		syscall.ForkLock.RLock()
		err := unix.Pipe(ends[:])
		if err == nil {
			unix.CloseOnExec(ends[0])
			unix.CloseOnExec(ends[1])
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			return 0, err
		}
		reader, writer := os.NewFile(uintptr(ends[0]), "reader"), os.NewFile(uintptr(ends[1]), "writer")
		defer reader.Close()
		defer writer.Close()
		c.Stdout = writer
	}
	if err := c.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	time.Sleep(after)
	var waited error
	for came = 1; ; came++ {
		if err := c.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return 0, err
		}
		patience := r.Wait
		if p.again && came == 1 {
			patience = time.Second
		}
		select {
		case waited = <-ended:
		case <-time.After(patience):
			if p.again && came == 1 {
				continue
			}
			_ = c.Process.Kill()
			return 0, fmt.Errorf("it is still alive; killed: %w", <-ended)
		}
		break
	}
	stderr := readFile(messages.Name())
	ws := c.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ws.Exited() && p.again && ws.ExitStatus() == 1 && stderr == "":
		came = 2
	case ws.Exited() && (!p.ends || ws.ExitStatus() != 0):
		return 0, fmt.Errorf("it ended with %v: %s", waited, stderr)
	case ws.Exited():
		came = 0
	case ws.Signal() != sig:
		return 0, fmt.Errorf("it died of %v: %s", ws.Signal(), stderr)
	}
	if strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, "PC=") {
		return 0, fmt.Errorf("stderr: %s", stderr)
	}
	if bare {
		return came, nil
	}
	return came, r.checkRemains(p, sig, came, dir)
}

// checkRemains checks the record of a call, and that its command has ended.
func (r *signalTest) checkRemains(p phase, sig unix.Signal, came int, dir string) error {
	key := filepath.Base(dir)
	if pid, err := strconv.Atoi(strings.TrimSpace(readFile(dir + "/pid"))); err == nil && isAlive(pid) {
		return fmt.Errorf("the command, process %d, is still alive", pid)
	}
	list := exec.Command(r.Idem, "list", "--json", "--glob", key)
	list.Env = r.environ()
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("idem list: %w", err)
	}
	var recs []struct{ State, Signal string }
	if err := json.Unmarshal(out, &recs); err != nil {
		return fmt.Errorf("idem list says %q: %w", out, err)
	}
	got := ""
	if len(recs) > 0 {
		got = strings.TrimSuffix(recs[0].State+", "+recs[0].Signal, ", ")
	}
	if came == 0 && got != "succeeded" {
		return fmt.Errorf("it ended with 0, and the record says %q", got)
	}
	name := unix.SignalName(sig)
	if name == "" {
		name = fmt.Sprintf("signal %d", int(sig))
	}
	for _, want := range p.states {
		if got == strings.Replace(want, "S", name, 1) {
			return nil
		}
	}
	return fmt.Errorf("the record says %q, not one of %q", got, p.states)
}

// readFile returns the content of a file, "" if it does not exist.
func readFile(path string) string {
	b, _ := os.ReadFile(path)
	return string(b)
}

// isAlive reports whether a process exists and is not a zombie.
func isAlive(pid int) bool {
	stat := readFile(fmt.Sprintf("/proc/%d/stat", pid))
	return stat != "" && !strings.Contains(stat, ") Z ")
}

// recordSuccess records a success with more output than a pipe takes.
func (r *signalTest) recordSuccess(dir, key string) (func(), error) {
	c := exec.Command(r.Idem, "run", "--key", key, "--", "sh", "-c", biggerOutput, dir)
	c.Env = r.environ()
	return func() {}, c.Run()
}

// holdKey runs another call for the key until the end.
func (r *signalTest) holdKey(dir, key string) (func(), error) { return r.hold(dir, "--key", key) }

// holdMutex runs a call for another key with a mutex named after the key until the end.
func (r *signalTest) holdMutex(dir, key string) (func(), error) {
	return r.hold(dir, "--key", "holder:"+key, "--mutex", key)
}

func (r *signalTest) hold(dir string, flags ...string) (func(), error) {
	c := exec.Command(r.Idem, append(append([]string{"run"}, flags...), "--", "sh", "-c", holderScript, dir)...)
	c.Env = r.environ()
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return nil, err
	}
	end := func() {
		_ = unix.Kill(-c.Process.Pid, unix.SIGKILL)
		_ = c.Wait()
	}
	for limit := time.Now().Add(r.Wait); readFile(dir+"/holder") == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			end()
			return nil, errors.New("the other call does not begin")
		}
	}
	return end, nil
}
