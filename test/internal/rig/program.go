package rig

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Part is one part of a program, with its name on the command line and a description.
type Part struct{ Name, What string }

// Program is the command line of a program that has parts.
type Program struct {
	Flags *flag.FlagSet
	Idem  string // the program to test, "" to build it here
	JSON  string // the file that keeps the figures, "" for none
	name  string
	parts []Part
	quick bool // the run is smaller than a full run
}

// NewProgram returns a command line with the flags --json and --idem. The caller
// adds its own flags.
func NewProgram(name string, parts ...Part) *Program {
	p := &Program{Flags: flag.NewFlagSet(name, flag.ExitOnError), name: name, parts: parts}
	p.Flags.Usage = p.usage
	p.Flags.StringVar(&p.JSON, "json", "", "keep the figures in `FILE`, a line of JSON for the last full run of each part and one for its last quick run")
	p.Flags.StringVar(&p.Idem, "idem", "", "test the program at this `PATH` instead of building idem")
	return p
}

// Parse parses the arguments. A run with the flags harmless is still a full run. Parse
// refuses unknown parts, and a full run with --json in a changed working tree.
func (p *Program) Parse(args []string, harmless ...string) error {
	_ = p.Flags.Parse(args) // exits after an error
	for _, name := range p.Flags.Args() {
		if !slices.ContainsFunc(p.parts, func(q Part) bool { return q.Name == name }) {
			return fmt.Errorf("unknown part %q; --help lists them", name)
		}
	}
	if p.quick = !Whole(p.Flags, append(harmless, "json", "idem")...); p.quick {
		return nil
	}
	return MayKeep(p.JSON, p.Idem)
}

// Run runs the named parts, or all. For each it keeps a copy of v with the figures of the
// part. begin gets the path of a directory that Run makes later. It returns the table for
// the figures and the function that runs the part.
//
// The first error ends the program, but a skipped part does not. With CI=true, Run
// returns an error at the end if a part was skipped.
func (p *Program) Run(v Verdict, begin func(part, dir, self, idem string) (*Table, func() error)) error {
	dir, self, idem, err := Setup(p.name, p.Idem)
	if err != nil {
		return err
	}
	v.Quick = p.quick
	v.Machine = Describe(dir, p.Idem)
	seed := ""
	if v.Seed != 0 {
		seed = fmt.Sprintf("seed %d", v.Seed)
	}
	skips := 0
	for _, part := range p.parts {
		if p.Flags.NArg() > 0 && !slices.Contains(p.Flags.Args(), part.Name) {
			continue
		}
		fmt.Printf("--- %s: %s", part.Name, part.What)
		where := part.Name
		if seed != "" {
			fmt.Printf(" (%s)", seed)
			where += ", " + seed
		}
		fmt.Println()
		v.Part = part.Name
		work := filepath.Join(dir, part.Name)
		figures, run := begin(part.Name, work, self, idem)
		err := v.Try(work, p.JSON, figures, run)
		if skip := Skipped(""); errors.As(err, &skip) {
			fmt.Println("skipped:", part.Name+":", skip)
			skips++
		} else if err != nil {
			return fmt.Errorf("%s, left in %s: %w", where, work, err)
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

func (p *Program) usage() {
	w := p.Flags.Output()
	fmt.Fprintf(w, "usage: go run ./test/%s [flags] [PART...]\n\nparts (default: all):\n", p.name)
	for _, q := range p.parts {
		fmt.Fprintf(w, "  %s  %s\n", q.Name, q.What)
	}
	fmt.Fprint(w, "\nflags:\n")
	p.Flags.PrintDefaults()
}

// Main is the main function of a program. If the first argument is the name of a child,
// it runs the child, otherwise run. It exits with 2 if run refuses to keep figures (see
// MayKeep), and with 1 for any other error.
func Main(name string, children map[string]func(args []string) int, run func(args []string) error) {
	if len(os.Args) > 1 {
		if child, ok := children[os.Args[1]]; ok {
			os.Exit(child(os.Args[2:]))
		}
	}
	err := run(os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	if errors.Is(err, ErrDirty) {
		os.Exit(2)
	}
	os.Exit(1)
}

// ErrDirty is the error of figures that would belong to no commit.
var ErrDirty = errors.New("the working tree has uncommitted changes, so its figures would belong to no commit: commit or stash the changes, or leave out --json")

// MayKeep returns ErrDirty if figures would be kept in file and idem would be built here
// from a changed working tree. Changes below Figures do not count, because the runs write
// there. program is the value of --idem.
func MayKeep(file, program string) error {
	if file != "" && program == "" && dirty() {
		return ErrDirty
	}
	return nil
}
