package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"idem/test/internal/rig"
)

// operatorsLedger is the ledger of the part operators.
const operatorsLedger = "ledger"

// operators runs the commands for operators on a ledger with many keys, one after another, next to
// callers that replay keys.
func operators(l *load) error {
	if err := l.makeOperated(); err != nil {
		return err
	}
	l.Count("keys", l.operated)
	r := &replayers{load: l}
	alone, err := r.during(func() error { time.Sleep(l.last / 4); return nil })
	if err != nil {
		return err
	}
	l.addReplays("alone", alone, nil)
	for _, o := range operations {
		var done operated
		r.removed = r.removed || o.removes
		times, err := r.during(func() (err error) { done, err = l.operate(o); return err })
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		l.addOperation(o, done)
		l.addReplays("next to "+o.name, times, alone)
	}
	times, err := r.during(l.completions)
	if err != nil {
		return err
	}
	l.addReplays("next to completions", times, alone)
	return l.checkLeft(operatorsLedger, nil)
}

// makeOperated makes the ledger. It copies l.made, if there is one.
func (l *load) makeOperated() error {
	to := filepath.Join(l.dir, operatorsLedger)
	if l.made != "" {
		return copyLedger(l.made, to)
	}
	memory, remove, err := l.memoryDir()
	if err != nil {
		return err
	}
	defer remove()
	return l.grow(filepath.Join(memory, "ledger"), 0, l.operated, to)
}

// operation is a command for operators.
type operation struct {
	name    string
	args    []string
	screen  bool   // on a terminal
	each    string // occurs in the output once for each key
	removes bool   // replays have no output from here on
	// perKeys is the demand for the seconds of CPU of a number of keys. 0: none.
	seconds float64
	perKeys int
}

var operations = []operation{
	{name: "list", args: []string{"list"}, each: "\tsucceeded\t", seconds: 1.2, perKeys: 100_000},
	{name: "list --jsonl", args: []string{"list", "--jsonl"}, each: `"state":"succeeded"`},
	{name: "list --json", args: []string{"list", "--json"}, each: `"state": "succeeded"`},
	{name: "list on a terminal", args: []string{"list", "--no-pager"}, screen: true, each: "\n"},
	{name: "stats", args: []string{"stats"}, seconds: 8, perKeys: 1_000_000},
	{name: "gc -n", args: []string{"gc", "-n", "--outputs-older-than", "0"}},
	{name: "ledger check --quick", args: []string{"ledger", "check", "--quick"}},
	{name: "gc", args: []string{"gc", "--outputs-older-than", "0"}, removes: true},
}

// operated has the figures of a call.
type operated struct {
	first, took, cpu time.Duration
	megabytes        float64
}

// operate makes a call of an operation and checks its output.
func (l *load) operate(o operation) (d operated, err error) {
	c := l.callIdem(operatorsLedger, o.args...)
	if o.screen {
		script, err := exec.LookPath("script")
		if err != nil {
			return d, errors.New("the program script of util-linux is missing, which makes a terminal")
		}
		c.Args = []string{script, "-qec", strings.Join(append([]string{l.idem}, o.args...), " "), "/dev/null"}
		c.Path, c.Env = script, append(c.Env, "TERM=xterm", "COLUMNS=80")
	}
	out := &outputOfCall{each: []byte(o.each), begin: time.Now()}
	c.Stdout = out
	err = c.Run()
	d.took, d.first = time.Since(out.begin), out.first
	if err != nil {
		return d, err
	}
	if out.first == 0 {
		return d, errors.New("no output")
	}
	if o.each != "" && out.found < l.operated {
		return d, fmt.Errorf("%d of %d keys", out.found, l.operated)
	}
	if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		d.cpu, d.megabytes = time.Duration(usage.Utime.Nano()+usage.Stime.Nano()), float64(usage.Maxrss)/1024
	}
	return d, nil
}

// addOperation adds the figures of a call.
func (l *load) addOperation(o operation, d operated) {
	demand := ""
	if o.seconds > 0 {
		demand = fmt.Sprintf(" (demand: at most %.3g)", o.seconds*float64(l.operated)/float64(o.perKeys))
	}
	l.Measure(o.name+": seconds of CPU"+demand, d.cpu.Seconds())
	l.Measure(o.name+": seconds", d.took.Seconds())
	if strings.HasPrefix(o.name, "list") {
		l.Measure(o.name+": ms until the first row (demand: at most 100)", d.first.Seconds()*1000)
	}
	l.Measure(o.name+": peak memory in MB (demand: at most 64)", d.megabytes)
}

// outputOfCall counts in the output of a call.
type outputOfCall struct {
	each  []byte
	begin time.Time
	first time.Duration // until the first byte; 0 without any
	found int
	tail  []byte // the end of the piece before
}

func (o *outputOfCall) Write(p []byte) (int, error) {
	if o.first == 0 && len(p) > 0 {
		o.first = time.Since(o.begin)
	}
	if n := len(o.each); n > 0 {
		o.tail = append(o.tail, p...)
		o.found += bytes.Count(o.tail, o.each)
		rest := o.tail[max(0, len(o.tail)-(n-1)):]
		o.tail = append(o.tail[:0], rest...)
	}
	return len(p), nil
}

// completions measures pairs: completing a key, and a call that does nothing.
func (l *load) completions() error {
	var times, over []time.Duration
	for range l.pairs {
		key := fmt.Sprintf("size:%d", rand.IntN(l.operated))
		complete, out, err := l.timed("__complete", "show", key)
		if err == nil && !bytes.Contains(out, []byte(key)) {
			err = fmt.Errorf("it offers %.100q for %s", out, key)
		}
		if err != nil {
			return fmt.Errorf("completion: %w", err)
		}
		nothing, _, err := l.timed("version")
		if err != nil {
			return err
		}
		times, over = append(times, complete), append(over, complete-nothing)
	}
	slices.Sort(times)
	slices.Sort(over)
	l.Count("pairs of a completion and a call of idem version", l.pairs)
	l.Measure("completion of a key: p50 ms", percentile(times, 50).Seconds()*1000)
	l.Measure("completion of a key: p50 ms over idem version (demand: at most 60)", percentile(over, 50).Seconds()*1000)
	l.Measure("completion of a key: p99 ms over idem version", percentile(over, 99).Seconds()*1000)
	return nil
}

// timed makes a call and returns its duration and output.
func (l *load) timed(args ...string) (time.Duration, []byte, error) {
	c := l.callIdem(operatorsLedger, args...)
	c.Stderr = io.Discard // cobra describes its answer there
	begin := time.Now()
	out, err := c.Output()
	return time.Since(begin), out, err
}

// replayers are the callers.
type replayers struct {
	*load
	removed bool // outputs may be gone
}

// replayCallers is the number of callers.
const replayCallers = 4

// during calls f while the callers replay keys, and returns the durations of the replays.
func (r *replayers) during(f func() error) ([]time.Duration, error) {
	stop := make(chan struct{})
	times, errs := make([][]time.Duration, replayCallers), make([]error, replayCallers)
	var wg sync.WaitGroup
	for i := range replayCallers {
		wg.Go(func() {
			for errs[i] == nil {
				select {
				case <-stop:
					return
				default:
				}
				var took time.Duration
				took, errs[i] = r.replay()
				times[i] = append(times[i], took)
			}
		})
	}
	err := f()
	close(stop)
	wg.Wait()
	all := slices.Concat(times...)
	slices.Sort(all)
	return all, errors.Join(append(errs, err)...)
}

// replay replays a key and checks the output.
func (r *replayers) replay() (time.Duration, error) {
	key := "size:" + strconv.Itoa(rand.IntN(r.operated))
	c := exec.Command(r.idem, "run", "--key", key, "--", "true")
	c.Env = rig.Environ(r.environ(operatorsLedger)...)
	begin := time.Now()
	out, err := c.Output()
	took := time.Since(begin)
	if want := "output of " + key + "\n"; err == nil && string(out) != want && !(r.removed && len(out) == 0) {
		err = fmt.Errorf("the replay of %s is %q, not %q", key, out, want)
	}
	return took, err
}

// addReplays adds the figures of replays.
func (l *load) addReplays(when string, times, alone []time.Duration) {
	if len(times) == 0 {
		return
	}
	l.Count("replays "+when, len(times))
	for _, percent := range []int{50, 99} {
		l.Measure(fmt.Sprintf("replays %s: p%d ms", when, percent), percentile(times, percent).Seconds()*1000)
	}
	if len(alone) > 0 {
		l.Measure("replays "+when+": p99 / alone (demand: at most 2)", percentile(times, 99).Seconds()/percentile(alone, 99).Seconds())
	}
}
