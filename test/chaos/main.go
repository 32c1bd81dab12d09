// Chaos tries to break idem's promises and says whether it could:
//
//	go run ./test/chaos [--quick] [--seed N] [--json FILE] [PART...]
//
// Each part prints its figures. The first part with a broken promise ends the
// program with status 1 and the evidence, and leaves its directory for a look.
// A part that needs what is not there is skipped, and says so; with CI=true
// that is a failure.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"idem/test/internal/rig"
)

// part is one way to hurt idem.
type part struct {
	name, what string
	run        func(*lab) error
}

var parts = []part{
	{"kill", "SIGKILL of idem, the command, both and leftovers at random times", killPart},
	{"steps", "SIGKILL of idem at every point at which something else is left behind", stepsPart},
	{"power", "power cuts of the ledger's disk", powerPart},
	{"full", "a disk that fills up and empties at random times", fullPart},
	{"damage", "the files of a ledger flipped, overwritten, truncated and deleted", damagePart},
	{"syscalls", "system calls of idem that fail, each in turn", syscallsPart},
	{"signals", "each signal, from everywhere, to every kind of command, on a terminal, and in every phase of a call", signalsPart},
}

// lab is where a part works: what to try out, and with what.
type lab struct {
	dir  string // of this part alone
	idem string // the program under trial
	self string // this program, which is also the commands that idem runs
	seed uint64
	options
	figures rig.Table
}

// options are the flags.
type options struct {
	quick    bool
	json     string
	keys     int
	kills    int
	parallel int
	trial    string
	wait     time.Duration
}

func main() {
	if len(os.Args) > 1 {
		if child, ok := children[os.Args[1]]; ok {
			os.Exit(child(os.Args[2:]))
		}
	}
	if err := chaos(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func chaos(args []string) error {
	var o options
	flags := flag.NewFlagSet("chaos", flag.ExitOnError)
	flags.Usage = func() { usage(flags) }
	flags.BoolVar(&o.quick, "quick", false, "about a tenth of everything")
	flags.IntVar(&o.keys, "keys", 0, "at least so many keys (0: 1000, quick 100)")
	flags.IntVar(&o.kills, "kills", 0, "at least so many kills (0: 5000, quick 500)")
	flags.IntVar(&o.parallel, "parallel", 8, "keys, kills or disks at a time (not power)")
	flags.StringVar(&o.json, "json", "", "keep one line of JSON for each part in `FILE`: of its last full run and of its last quick one")
	flags.StringVar(&o.trial, "trial", "", "of the parts damage and syscalls only the trial of this `NAME`")
	flags.DurationVar(&o.wait, "wait", time.Minute, "how long what must happen in the part signals may take; nothing should take a hundredth of it")
	seed := flags.Uint64("seed", 0, "of what is random (0: any)")
	program := flags.String("idem", "", "try out the program at this `PATH` instead of building idem (not steps, which builds one with points to be killed at)")
	_ = flags.Parse(args) // exits by itself
	for _, name := range flags.Args() {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("%q is no part; --help lists them", name)
		}
	}
	if runtime.GOOS != "linux" {
		return errors.New("needs Linux: it finds the processes to kill in /proc")
	}
	if err := ownMounts(flags.Args()); err != nil {
		return err
	}
	for *seed == 0 {
		*seed = rand.Uint64N(1_000_000)
	}

	dir, self, idem, err := rig.Setup("chaos", *program)
	if err != nil {
		return err
	}

	quick := !rig.Whole(flags, "json", "seed", "parallel", "idem", "wait")
	machine := rig.Describe(dir, *program)
	skips := 0
	for _, p := range parts {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), p.name) {
			continue
		}
		fmt.Printf("--- %s: %s (seed %d)\n", p.name, p.what, *seed)
		l := &lab{dir: filepath.Join(dir, p.name), idem: idem, self: self, seed: *seed, options: o}
		v := rig.Verdict{Part: p.name, Quick: quick, Seed: *seed, Machine: machine}
		err := v.Try(l.dir, o.json, &l.figures, func() error { return p.run(l) })
		if skip := rig.Skipped(""); errors.As(err, &skip) {
			fmt.Println("skipped:", p.name+":", skip)
			skips++
		} else if err != nil {
			return fmt.Errorf("%s, seed %d, left in %s: %w", p.name, *seed, l.dir, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if skips > 0 && os.Getenv("CI") == "true" {
		return fmt.Errorf("%d parts skipped, which CI=true does not allow", skips)
	}
	return nil
}

func usage(flags *flag.FlagSet) {
	w := flags.Output()
	fmt.Fprint(w, "usage: go run ./test/chaos [flags] [PART...]\n\nparts (all, if none is named):\n")
	for _, p := range parts {
		fmt.Fprintf(w, "  %s  %s\n", p.name, p.what)
	}
	fmt.Fprint(w, "\nflags:\n")
	flags.PrintDefaults()
}
