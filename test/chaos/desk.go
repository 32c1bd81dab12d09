package main

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

// order is one key and what its command does, the same in each call.
type order struct {
	key   string
	bytes int           // of output
	time  time.Duration // that it takes
	code  int           // that it ends with
	hold  string        // the file that it waits for to be removed, if any
	via   string        // the program that is to start it, if any
}

// randomOrder does anything between nothing and a lot.
func randomOrder(rng *rand.Rand, key string) order {
	o := order{key: key, time: time.Duration(rng.IntN(20)) * time.Millisecond}
	switch d := rng.IntN(20); {
	case d < 8:
	case d < 13:
		o.bytes = rng.IntN(30_000)
	case d < 18:
		o.bytes = 33_000 + rng.IntN(270_000)
	default:
		o.bytes = 1_000_000 + rng.IntN(2_000_000)
	}
	if rng.IntN(8) == 0 {
		o.code = actFails
	}
	return o
}

// desk is where orders are called: a ledger and, outside of it, a journal of the
// commands of each key and what the callers got. What is on the desk survives
// whatever happens to the ledger.
type desk struct {
	*lab
	idem   string // the program to call
	dir    string
	ledger string
	env    []string // of all calls, beside the usual
	// start, if it is there, is called in place of the commands' own Start.
	start func(*exec.Cmd) error

	mu     sync.Mutex
	faults []fault
}

func (l *lab) desk(name string) (*desk, error) {
	d := &desk{lab: l, idem: l.idem, dir: filepath.Join(l.dir, name)}
	d.ledger = filepath.Join(d.dir, "ledger")
	return d, os.MkdirAll(filepath.Join(d.dir, "calls"), 0o700)
}

func (d *desk) journal(key string) string { return filepath.Join(d.dir, "calls", key+".journal") }

// command is what idem is to run for the order.
func (d *desk) command(o order) []string {
	c := []string{d.self, "act", d.journal(o.key), strconv.Itoa(o.bytes), o.time.String(), o.hold, strconv.Itoa(o.code)}
	if o.via != "" {
		c = append([]string{o.via}, c...)
	}
	return c
}

// run calls idem run for the order, for the nth time, with more flags and
// environment.
func (d *desk) run(o order, n int, flags []string, env ...string) call {
	args := append([]string{"run", "--key", o.key, "--meta-file", d.meta(o.key, n)}, flags...)
	return d.call(o.key, n, append(append(args, "--"), d.command(o)...), env...)
}

// call calls idem in any other way.
func (d *desk) call(key string, n int, args []string, env ...string) call {
	id := callID(key, n)
	cmd := exec.Command(d.idem, args...)
	cmd.Env = slices.Concat(d.environ(d.ledger, id), d.env, env)
	start := (*exec.Cmd).Start
	if d.start != nil {
		start = d.start
	}
	return finish(cmd, start, id, d.out(key, n))
}

func callID(key string, n int) string { return key + "/" + strconv.Itoa(n) }

func (d *desk) out(key string, n int) string {
	return filepath.Join(d.dir, "calls", key+"."+strconv.Itoa(n))
}

func (d *desk) meta(key string, n int) string { return d.out(key, n) + ".meta" }

// truncated tells whether the nth call of a key said that its output is not
// recorded whole.
func (d *desk) saidTruncated(key string, n int) bool {
	var meta struct{ Truncated bool }
	_ = json.Unmarshal([]byte(read(d.meta(key, n))), &meta) // who says nothing does not say so
	return meta.Truncated
}

// doings are what the commands of a key did, by the calls that ran them.
type doings struct{ starts, ends map[string]int }

// all sums up the starts.
func (d doings) all() (n int) {
	for _, starts := range d.starts {
		n += starts
	}
	return n
}

func (d *desk) doings(key string) doings {
	did := doings{map[string]int{}, map[string]int{}}
	events, err := readJournal(d.journal(key))
	if !errors.Is(err, os.ErrNotExist) { // else nobody has started anything
		must(err)
	}
	for _, e := range events {
		switch e.kind {
		case started:
			did.starts[e.call]++
		case ended:
			did.ends[e.call]++
		}
	}
	return did
}

func (d *desk) complain(promise, key, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, fault{promise, key, fmt.Sprintf(format, args...), -1})
}

// verdict prints the figures and returns the broken promises as an error.
func (d *desk) verdict(w io.Writer, promises ...string) error {
	broken := map[string]int{}
	for _, f := range d.faults {
		broken[f.promise]++
	}
	for _, p := range promises {
		d.figures.Count(p, broken[p])
	}
	d.figures.Print(w)
	const shown = 10
	for i, f := range d.faults {
		if i == shown {
			fmt.Fprintf(w, "and %d more\n", len(d.faults)-shown)
			break
		}
		fmt.Fprintf(w, "\n%s: key %q, %s\n", f.promise, f.key, f.what)
	}
	if len(d.faults) > 0 {
		return fmt.Errorf("%d promises broken", len(d.faults))
	}
	return nil
}
