package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Fault is a broken promise.
type Fault struct {
	Promise string
	Key     string
	What    string
	At      int // the event of the key's journal that shows it, -1 for none
}

// Job is one key and the work of its command, which is the same in each call.
type Job struct {
	Key         string
	Output      int           // bytes of output
	takes       time.Duration // duration of the command
	Code        int           // its exit status
	Hold        string        // if not "", the command runs until this file is removed
	Interpreter string        // if not "", the program that starts the command
}

// RandomJob returns a job with a random duration, amount of output and exit status.
func RandomJob(rng *rand.Rand, key string) Job {
	o := Job{Key: key, takes: time.Duration(rng.IntN(20)) * time.Millisecond}
	switch d := rng.IntN(20); {
	case d < 8:
	case d < 13:
		o.Output = rng.IntN(30_000)
	case d < 18:
		o.Output = 33_000 + rng.IntN(270_000)
	default:
		o.Output = 1_000_000 + rng.IntN(2_000_000)
	}
	if rng.IntN(8) == 0 {
		o.Code = ActFails
	}
	return o
}

// Harness calls idem for jobs. It has a ledger and, outside of it, a journal of the
// commands of each key and the output of each call.
type Harness struct {
	*Lab
	Idem   string // the program to call
	Dir    string
	Ledger string
	Env    []string // added to the environment of all calls
	// Start, if not nil, replaces (*exec.Cmd).Start.
	Start func(*exec.Cmd) error

	mu     sync.Mutex
	Faults []Fault
}

// NewHarness returns a Harness whose files are in the directory name of the Lab.
func (l *Lab) NewHarness(name string) (*Harness, error) {
	d := &Harness{Lab: l, Idem: l.Idem, Dir: filepath.Join(l.Dir, name)}
	d.Ledger = filepath.Join(d.Dir, "ledger")
	return d, os.MkdirAll(filepath.Join(d.Dir, "calls"), 0o700)
}

func (d *Harness) journal(key string) string { return filepath.Join(d.Dir, "calls", key+".journal") }

// CommandOf returns the command of the job.
func (d *Harness) CommandOf(o Job) []string {
	c := []string{d.Self, "command", d.journal(o.Key), strconv.Itoa(o.Output), o.takes.String(), o.Hold, strconv.Itoa(o.Code)}
	if o.Interpreter != "" {
		c = append([]string{o.Interpreter}, c...)
	}
	return c
}

// Run makes the nth call of idem run for the job, with more flags and environment.
func (d *Harness) Run(o Job, n int, flags []string, env ...string) Call {
	args := append([]string{"run", "--key", o.Key, "--meta-file", d.meta(o.Key, n)}, flags...)
	return d.Call(o.Key, n, append(append(args, "--"), d.CommandOf(o)...), env...)
}

// Call makes the nth call for the key with any arguments of idem.
func (d *Harness) Call(key string, n int, args []string, env ...string) Call {
	id := callID(key, n)
	cmd := exec.Command(d.Idem, args...)
	cmd.Env = slices.Concat(d.Environ(d.Ledger, id), d.Env, env)
	start := (*exec.Cmd).Start
	if d.Start != nil {
		start = d.Start
	}
	return Finish(cmd, start, id, d.out(key, n))
}

func callID(key string, n int) string { return key + "/" + strconv.Itoa(n) }

func (d *Harness) out(key string, n int) string {
	return filepath.Join(d.Dir, "calls", key+"."+strconv.Itoa(n))
}

func (d *Harness) meta(key string, n int) string { return d.out(key, n) + ".meta" }

// ReportsTruncated reports whether the metadata of the nth call of a key say that the
// recorded output is incomplete.
func (d *Harness) ReportsTruncated(key string, n int) bool {
	var meta struct{ Truncated bool }
	_ = json.Unmarshal([]byte(Read(d.meta(key, n))), &meta) // no file: not reported
	return meta.Truncated
}

// Runs counts the starts and ends of the commands of a key, by call.
type Runs struct{ Starts, ends map[string]int }

// Total returns the number of starts.
func (d Runs) Total() (n int) {
	for _, starts := range d.Starts {
		n += starts
	}
	return n
}

// Runs reads the journal of a key.
func (d *Harness) Runs(key string) Runs {
	did := Runs{map[string]int{}, map[string]int{}}
	events, err := ReadJournal(d.journal(key))
	if !errors.Is(err, os.ErrNotExist) { // otherwise nothing was started
		Must(err)
	}
	for _, e := range events {
		switch e.Kind {
		case Started:
			did.Starts[e.Call]++
		case Ended:
			did.ends[e.Call]++
		}
	}
	return did
}

// Fail adds a fault that no event of a journal shows.
func (d *Harness) Fail(promise, key, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Faults = append(d.Faults, Fault{Promise: promise, Key: key, What: fmt.Sprintf(format, args...), At: -1})
}

// Report prints the figures and the faults, and returns an error if there are any.
func (d *Harness) Report(w io.Writer, promises ...string) error {
	broken := map[string]int{}
	for _, f := range d.Faults {
		broken[f.Promise]++
	}
	for _, p := range promises {
		d.Figures.Count(p, broken[p])
	}
	d.Figures.Print(w)
	const shown = 10
	for i, f := range d.Faults {
		if i == shown {
			fmt.Fprintf(w, "and %d more\n", len(d.Faults)-shown)
			break
		}
		fmt.Fprintf(w, "\n%s: key %q, %s\n", f.Promise, f.Key, f.What)
	}
	if len(d.Faults) > 0 {
		return fmt.Errorf("%d promises broken", len(d.Faults))
	}
	return nil
}

// ActFails is the exit status of a command that fails.
const ActFails = 3

// NoBroken is the promise that Harness.Close checks.
const NoBroken = "ledgers that are broken afterwards"

// Add adds faults.
func (d *Harness) Add(faults []Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Faults = append(d.Faults, faults...)
}

// Close checks the integrity of the ledger and its receipts.
func (d *Harness) Close() {
	if _, err := d.Integrity(d.Ledger); err != nil {
		d.Fail(NoBroken, d.Ledger, "%v", err)
	}
}
