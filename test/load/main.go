// Load calls idem many times at once, for long, and on large ledgers, and says
// whether everybody got what he should:
//
//	go run ./test/load [--quick] [--json FILE] [PART...]
//
// Each part prints its figures. The first broken demand ends the program with
// status 1 and leaves its directory for a look. No demand is about time: how
// long it took stands beside what others need, and is for people to judge.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"idem/test/internal/rig"
)

// part is one kind of load.
type part struct {
	name, what string
	run        func(*load) error
}

var parts = []part{
	{"onekey", "many callers of one key: one execution, the same reply for all", oneKey},
	{"manykeys", "many callers, each with a key of its own, and no ledger yet", manyKeys},
	{"fresh", "many callers whose first action makes the ledger, in rounds", fresh},
	{"soak", "callers of a few keys for long, beside list, check, forget and kills", soak},
	{"reader", "readers that do not read on, while runs pass", reader},
	{"sizes", "ledgers of one key up to very many: the time of a hit, a miss, a list", sizes},
}

// load is what a part works with.
type load struct {
	dir  string // of this part alone
	idem string // the program under load
	self string // this program, for its children
	options
	rig.Table
}

// options are the flags.
type options struct {
	quick   bool
	json    string
	callers int // at once
	rounds  int // of fresh
	runs    int // beside a reader
	keys    int // of the largest ledger
	pairs   int // of measured calls for each size
	last    time.Duration
}

var full = options{callers: 500, rounds: 12, runs: 1500, keys: 1_000_000, pairs: 100, last: time.Minute}

var quick = options{callers: 100, rounds: 2, runs: 150, keys: 2000, pairs: 5, last: 3 * time.Second}

func main() {
	if len(os.Args) > 1 {
		if child, ok := children[os.Args[1]]; ok {
			os.Exit(child(os.Args[2:]))
		}
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	o := full
	if slices.Contains(args, "--quick") || slices.Contains(args, "-quick") {
		o = quick
	}
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	flags.Usage = func() { usage(flags) }
	flags.BoolVar(&o.quick, "quick", false, "a tenth of everything or less")
	flags.StringVar(&o.json, "json", "", "keep one line of JSON for each part in `FILE`: of its last full run and of its last quick one")
	flags.IntVar(&o.callers, "callers", o.callers, "callers at once; fresh takes two fifths of them, soak a tenth")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "rounds of fresh")
	flags.IntVar(&o.runs, "runs", o.runs, "runs beside a reader")
	flags.IntVar(&o.keys, "keys", o.keys, "keys of the largest ledger")
	flags.IntVar(&o.pairs, "pairs", o.pairs, "how often sizes measures each call")
	flags.DurationVar(&o.last, "last", o.last, "how long soak, and a reader, last")
	program := flags.String("idem", "", "put the load on the program at this `PATH` instead of building idem")
	_ = flags.Parse(args) // exits by itself
	for _, name := range flags.Args() {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("%q is no part; --help lists them", name)
		}
	}

	dir, self, idem, err := rig.Setup("load", *program)
	if err != nil {
		return err
	}
	v := rig.Verdict{Quick: !rig.Whole(flags, "json", "idem"), Machine: rig.Describe(dir, *program)}
	for _, p := range parts {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), p.name) {
			continue
		}
		fmt.Printf("--- %s: %s\n", p.name, p.what)
		l := &load{dir: filepath.Join(dir, p.name), idem: idem, self: self, options: o}
		v.Part = p.name
		err := v.Try(l.dir, o.json, &l.Table, func() error { return p.run(l) })
		l.Print(os.Stdout)
		if err != nil {
			return fmt.Errorf("%s, left in %s: %w", p.name, l.dir, err)
		}
	}
	return os.RemoveAll(dir)
}

func usage(flags *flag.FlagSet) {
	w := flags.Output()
	fmt.Fprint(w, "usage: go run ./test/load [flags] [PART...]\n\nparts (all, if none is named):\n")
	for _, p := range parts {
		fmt.Fprintf(w, "  %s  %s\n", p.name, p.what)
	}
	fmt.Fprint(w, "\nflags:\n")
	flags.PrintDefaults()
}
