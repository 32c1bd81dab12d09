// Forgetful is idem without its witness: it wipes that and becomes the idem of
// REAL_PROGRAM. The test of chaos shows that SQLite alone is not good enough.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	_ = os.Truncate(filepath.Join(os.Getenv("IDEM_LEDGER"), "locks"), 0) // there may be none yet
	program := os.Getenv("REAL_PROGRAM")
	err := syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	fmt.Fprintln(os.Stderr, "forgetful:", err)
	os.Exit(1)
}
