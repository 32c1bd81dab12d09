// Load calls idem many times at once, for a long time and on large ledgers, and
// checks that every caller gets the right answer:
//
//	go run ./test/load [--quick] [--json FILE] [PART...]
//
// Each part prints its figures: counts that must be right, and times in
// milliseconds. The first wrong count ends the program with status 1 and leaves
// its directory for inspection. No time is an error: it is printed next to the
// time of other programs for people to compare. A full run with --json is
// refused with status 2 while the working tree has uncommitted changes.
package main

import (
	"os"
	"slices"
	"time"

	"idem/test/internal/rig"
)

// part is one kind of load.
type part struct {
	rig.Part
	run func(*load) error
}

var parts = []part{
	{rig.Part{Name: "onekey", What: "many callers of one key: one execution, and the same reply for all"}, oneKey},
	{rig.Part{Name: "manykeys", What: "many callers with a key each, on a ledger that does not exist yet"}, manyKeys},
	{rig.Part{Name: "fresh", What: "rounds of many callers whose first action makes the ledger"}, fresh},
	{rig.Part{Name: "soak", What: "callers of a few keys for a long time, with list, check, forget and kills"}, soak},
	{rig.Part{Name: "reader", What: "readers that stop reading while runs pass"}, reader},
	{rig.Part{Name: "sizes", What: "ledgers of one key up to very many: the time of a replay, a first run and a list"}, sizes},
	{rig.Part{Name: "operators", What: "list, stats, gc, check and completion on a large ledger, next to callers that replay"}, operators},
	{rig.Part{Name: "each", What: "very many items of a batch: executed, then skipped in another order"}, each},
	{rig.Part{Name: "held", What: "a first item that ends last, while the outputs of many items wait"}, held},
}

// load holds the directory, the programs, the options and the figures of a part.
type load struct {
	dir  string // no other part uses this directory
	idem string // the program under load
	self string // this program, for its children
	options
	rig.Table
}

// options are the flags.
type options struct {
	quick    bool
	callers  int           // at once
	rounds   int           // of the part fresh
	runs     int           // of the part reader, during a list that is not read
	keys     int           // of the largest ledger
	pairs    int           // of measured calls for each size
	operated int           // keys of the part operators
	made     string        // their ledger, if it exists already
	items    int           // of the part each
	waiting  int           // items of the part held that wait
	last     time.Duration // the duration of the parts soak and reader
}

var full = options{callers: 500, rounds: 12, runs: 1500, keys: 1_000_000, pairs: 100, operated: 1_000_000, items: 1_000_000, waiting: 10_000, last: time.Minute}

var quick = options{callers: 100, rounds: 2, runs: 150, keys: 2000, pairs: 5, operated: 20_000, items: 3000, waiting: 500, last: 3 * time.Second}

func main() { rig.Main("load", children, run) }

func run(args []string) error {
	o := full
	if slices.Contains(args, "--quick") || slices.Contains(args, "-quick") {
		o = quick
	}
	var list []rig.Part
	for _, p := range parts {
		list = append(list, p.Part)
	}
	program := rig.NewProgram("load", list...)
	flags := program.Flags
	flags.BoolVar(&o.quick, "quick", false, "do a tenth of everything or less")
	flags.IntVar(&o.callers, "callers", o.callers, "start this many callers at once; fresh starts two fifths of them, soak a tenth")
	flags.IntVar(&o.rounds, "rounds", o.rounds, "fresh: make this many rounds")
	flags.IntVar(&o.runs, "runs", o.runs, "reader: make this many runs during a list that is not read")
	flags.IntVar(&o.keys, "keys", o.keys, "sizes: use this many keys in the largest ledger")
	flags.IntVar(&o.pairs, "pairs", o.pairs, "sizes, operators: measure each call this often")
	flags.IntVar(&o.operated, "operated", o.operated, "operators: use a ledger of this many keys")
	flags.StringVar(&o.made, "ledger", "", "operators: copy this ledger, which the program ledgers has filled")
	flags.IntVar(&o.items, "items", o.items, "each: execute and skip this many items")
	flags.IntVar(&o.waiting, "waiting", o.waiting, "held: let this many items wait")
	flags.DurationVar(&o.last, "last", o.last, "soak, reader: work for this long")
	if err := program.Parse(args, "ledger"); err != nil {
		return err
	}
	return program.Run(rig.Verdict{}, func(name, dir, self, idem string) (*rig.Table, func() error) {
		l := &load{dir: dir, idem: idem, self: self, options: o}
		i := slices.IndexFunc(parts, func(p part) bool { return p.Name == name })
		return &l.Table, func() error {
			defer l.Print(os.Stdout)
			return parts[i].run(l)
		}
	})
}
