// Forgetful is idem without its witness. It empties the file locks, which has the
// witness, and then becomes the idem with the path REAL_PROGRAM. The tests of chaos use
// it to show that SQLite alone does not keep the promises.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

func main() {
	_ = os.Truncate(filepath.Join(os.Getenv("IDEM_LEDGER"), "locks"), 0) // it may not exist yet
	program := os.Getenv("REAL_PROGRAM")
	err := syscall.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	fmt.Fprintln(os.Stderr, "forgetful:", err)
	os.Exit(1)
}
