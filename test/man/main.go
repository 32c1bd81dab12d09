// Man writes the manual pages of idem to a directory:
//
//	go run ./test/man DIR VERSION DATE
//
// DATE is the day of the commit, such as 2026-11-22. The pages come from the help of idem and
// from docs, so two calls with the same arguments write the same files.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"idem/cmd"
	"idem/test/internal/rig"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: man DIR VERSION DATE")
		os.Exit(64)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// run writes the pages to dir.
func run(dir, version, date string) error {
	if _, err := time.Parse(time.DateOnly, date); err != nil {
		return err
	}
	root, err := rig.Root()
	if err != nil {
		return err
	}
	pages, err := pagesOf(cmd.HelpManual(), filepath.Join(root, "docs"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range pages {
		if err := os.WriteFile(filepath.Join(dir, p.file()), []byte(p.roff(version, date)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
