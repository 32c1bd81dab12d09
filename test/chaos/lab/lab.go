// Package lab has the common code of the parts of chaos:
//   - the calls of idem and the commands that idem runs
//   - journals and ledgers
//   - file systems that can be cut off
//   - the loop over many trials
//
// A part gets a Lab and tries to break idem with it. It adds its figures to Lab.Figures
// and returns an error for a broken promise. The package imports no package of idem, so
// a part sees idem as its users do.
package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"idem/test/internal/rig"
)

// Lab holds the directory, the programs, the options and the figures of a part.
type Lab struct {
	Dir  string // no other part uses this directory
	Idem string // the program under test
	// Given is whether the command line names the program. Otherwise Idem is built here, and
	// a part may build it in another way.
	Given bool
	Self  string // this program, which also has the commands that idem runs
	Seed  uint64 // of all random numbers
	Options
	Figures rig.Table
}

// Options are the flags of the command line that matter to parts.
type Options struct {
	Quick    bool
	Keys     int
	Kills    int
	Parallel int
	Trial    string
	Wait     time.Duration
}

// Patience is the longest time that a key may take. Usually it takes less than a tenth
// of that.
const Patience = 3 * time.Minute

// ExitWithin is the longest time that processes may outlive a killed command. A daemon
// of the part kill sleeps 0.3 s. A worker works 0.42 s at most once the kills of its key
// have stopped.
const ExitWithin = 30 * time.Second

// Exit statuses of idem.
const (
	ExitUsage       = 64
	ExitLedger      = 69
	ExitOutput      = 74
	ExitBusy        = 75
	ExitInterrupted = 79
	ExitFailed      = 80
	ExitUnrecorded  = 125
)

// SigKill is the number of SIGKILL. A call that died of it has the code -SigKill.
const SigKill = 9

// Integrity checks a ledger that no process uses and returns its attempts in the
// order in which they began. It also compares the receipts with the records.
func (l *Lab) Integrity(dir string) ([]rig.Attempt, error) {
	attempts, err := rig.Integrity(filepath.Dir(l.Dir), dir)
	h := Harness{Lab: l, Idem: l.Idem, Ledger: dir}
	if _, wrong := h.CheckReceipts(); wrong != "" && err == nil {
		err = errors.New(wrong)
	}
	return attempts, err
}

// Progress says on stderr how many kills were made, once in a while.
func Progress(killed, of int) {
	if killed%25 == 0 {
		fmt.Fprintf(os.Stderr, "%d of %d kills\n", killed, of)
	}
}

// Must panics on an error of the test itself, because the test then proves nothing.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}
