// Load calls idem many times at once and says whether everybody got what he
// should:
//
//	go run ./scripts/load [--quick] [PART...]
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

	"idem/scripts/internal/rig"
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
}

// load is what a part works with.
type load struct {
	dir     string // of this part alone
	idem    string // the program under load
	self    string // this program, for its children
	callers int
	rounds  int
	rig.Table
}

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
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	flags.Usage = func() { usage(flags) }
	quick := flags.Bool("quick", false, "100 callers and 2 rounds")
	callers := flags.Int("callers", 500, "callers at once; fresh takes two fifths of them")
	rounds := flags.Int("rounds", 10, "rounds of fresh")
	program := flags.String("idem", "", "put the load on the program at this `PATH` instead of building idem")
	_ = flags.Parse(args) // exits by itself
	for _, name := range flags.Args() {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			return fmt.Errorf("%q is no part; --help lists them", name)
		}
	}
	if *quick {
		*callers, *rounds = 100, 2
	}

	dir, self, idem, err := rig.Setup("load", *program)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if flags.NArg() > 0 && !slices.Contains(flags.Args(), p.name) {
			continue
		}
		fmt.Printf("--- %s: %s\n", p.name, p.what)
		l := &load{dir: filepath.Join(dir, p.name), idem: idem, self: self, callers: *callers, rounds: *rounds}
		if err := os.Mkdir(l.dir, 0o700); err != nil {
			return err
		}
		err := p.run(l)
		l.Print(os.Stdout)
		if err != nil {
			return fmt.Errorf("%s, left in %s: %w", p.name, l.dir, err)
		}
	}
	return os.RemoveAll(dir)
}

func usage(flags *flag.FlagSet) {
	w := flags.Output()
	fmt.Fprint(w, "usage: go run ./scripts/load [flags] [PART...]\n\nparts (all, if none is named):\n")
	for _, p := range parts {
		fmt.Fprintf(w, "  %s  %s\n", p.name, p.what)
	}
	fmt.Fprint(w, "\nflags:\n")
	flags.PrintDefaults()
}
