package ledger

import (
	"fmt"
	"strings"
)

// Error is an error of the ledger at Place.
type Error struct {
	Place string // the ledger's directory, or its URL without a password
	Err   error
	Hint  string // a way to mend it, in one line; may be empty
}

func (e *Error) Error() string {
	text, unreachable := e.Err.Error(), ErrUnreachable.Error()
	if cause, ok := strings.CutPrefix(text, unreachable); ok {
		return unreachable + " " + e.Place + cause
	}
	return "ledger " + e.Place + ": " + text
}

func (e *Error) Unwrap() error { return e.Err }

// Fault is a fault of a ledger's files, or of the directories above them, that a
// person can repair. Its fields are the facts that a repair instruction needs.
type Fault struct {
	Kind FaultKind
	Is   error  // ErrUnsafe or ErrCorrupt, for errors.Is
	Path string // the file or directory at fault
	Text string // a description of the fault

	// Moved is the place that the ledger was moved to. For an unfinished copy, it is the
	// place of the ledger that is being moved, or "".
	Moved string

	// The following fields are set for a directory only.

	Ours      bool   // it belongs to this user
	AnyWrites bool   // every user may write to it
	Writable  bool   // this user may write to it
	Content   string // ContentNone, ContentLedger, ContentOther; "" if it cannot be listed
	Within    Within // whether a subdirectory could be a ledger
}

// FaultKind is the kind of a fault. Each kind needs another repair.
type FaultKind int

// The kinds of faults.
const (
	FaultLink        FaultKind = iota + 1 // a symbolic link of another user
	FaultParentOpen                       // other users can write to a directory above the ledger
	FaultParentOwner                      // a directory above the ledger belongs to another user
	FaultOwner                            // the ledger's directory belongs to another user
	FaultOpen                             // the ledger's directory is open to other users
	FaultSecondName                       // a file of the ledger has a hard link
	FaultReplaced                         // files of the ledger were moved, removed or replaced while it was in use
	FaultNoLocks                          // the lock file is missing
	FaultNoDatabase                       // ledger.db is missing or empty
	FaultLostCommits                      // the ledger has fewer commits than the witness counted
	FaultBadWitness                       // the witness, which counts the commits, cannot be read
	FaultMutex                            // a mutex cannot be read; no record is affected
	FaultOutputGone                       // the file with the output of an attempt is missing; its record is not affected
	FaultOutput                           // the recorded output of an attempt is damaged; its record is not affected
	FaultKept                             // an outcome that this host keeps for a shared ledger cannot be read
	FaultMoved                            // the ledger was moved to another place, see Fault.Moved
	FaultMoveLost                         // the ledger is not at its new place, see Fault.Moved
	FaultUnfinished                       // the directory is an unfinished copy of a ledger, see Fault.Moved
)

// The values of Fault.Content.
const (
	ContentNone   = "none"
	ContentLedger = "ledger"
	ContentOther  = "other"
)

// Within reports whether a subdirectory of a directory could be a ledger.
type Within int

// The values of Within.
const (
	WithinNo      Within = iota
	WithinTrusted        // only if the user trusts the directory
	WithinYes
)

func (f *Fault) Error() string {
	switch f.Kind {
	case FaultReplaced, FaultMoved, FaultMoveLost, FaultUnfinished: // the files need not be damaged
		return f.Text
	}
	return fmt.Sprintf("%v: %s", f.Is, f.Text)
}

func (f *Fault) Unwrap() error { return f.Is }
