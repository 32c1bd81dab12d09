// Guarantees generates docs/guarantees.md, and the block of figures in README.md,
// from the figures of the last full runs of chaos, load and bench:
//
//	go run ./test/guarantees [--figures DIR] [--quick]
//
// Both name in bold each part that was skipped, has failed, or has no full run. The
// exit status is 1 if a template uses a figure that its part does not have.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"idem/test/internal/rig"
)

// All of page is generated. In readme, the block between the markers is generated.
const (
	page   = "docs/guarantees.md"
	readme = "README.md"
)

func main() {
	figures := flag.String("figures", rig.Figures, "read the figures from this `DIRECTORY`")
	quick := flag.Bool("quick", false, "print the page to stdout, with the figures of quick runs for parts without a full run")
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
