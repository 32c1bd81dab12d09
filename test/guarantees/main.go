// Guarantees writes docs/guarantees.md, and the block of figures in README.md,
// from what the last full runs of chaos, load and bench have left:
//
//	go run ./test/guarantees [--figures DIR] [--quick]
//
// A part that has no full run, or one that was skipped or failed, is named
// loudly in both. The exit status is 1 if a page asks for a figure that its part
// does not have.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"idem/test/internal/rig"
)

// page is the file that is written whole; readme has a block between marks.
const (
	page   = "docs/guarantees.md"
	readme = "README.md"
)

func main() {
	figures := flag.String("figures", rig.Figures, "take the figures from this `DIRECTORY`")
	quick := flag.Bool("quick", false, "print the page to stdout, with the figures of quick runs where there are no others")
	flag.Parse()
	if err := run(*figures, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "guarantees:", err)
		os.Exit(1)
	}
}

func run(figures string, quick bool) error {
	root, err := rig.Root()
	if err != nil {
		return err
	}
	if !filepath.IsAbs(figures) {
		figures = filepath.Join(root, figures)
	}
	r, err := read(figures, quick)
	if err != nil {
		return err
	}
	if quick {
		fmt.Printf("%s\n%s", r.page(), r.block())
		return r.lacking()
	}
	text, err := os.ReadFile(filepath.Join(root, readme))
	if err != nil {
		return err
	}
	if text, err = r.insert(text); err != nil {
		return err
	}
	return errors.Join(
		rig.Write(filepath.Join(root, page), r.page()),
		rig.Write(filepath.Join(root, readme), text),
		r.lacking())
}
