package ledger

import "fmt"

// Error is an error of the ledger at Place.
type Error struct {
	Place string // the directory
	Err   error
}

func (e *Error) Error() string { return "ledger " + e.Place + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Fault is something about the files of a ledger, or the directories above
// them, that a person can mend. It holds what is needed to say how.
type Fault struct {
	Kind FaultKind
	Is   error  // ErrUnsafe, ErrCorrupt: what it is to errors.Is
	Path string // of the file or directory at fault
	Text string // what is wrong with it

	// Of a directory:
	Ours      bool   // it belongs to this user
	AnyWrites bool   // every user may write to it
	Writable  bool   // this user may write to it
	Content   string // ContentNone, ContentLedger, ContentOther; "" if it cannot be listed
	Within    Within // whether a directory in it could be a ledger
}

// FaultKind tells faults apart by what mends them.
type FaultKind int

// The faults.
const (
	FaultLink        FaultKind = iota + 1 // a symbolic link of another user
	FaultParentOpen                       // a directory above the ledger that other users can write to
	FaultParentOwner                      // a directory above the ledger that belongs to another user
	FaultOwner                            // the ledger's directory belongs to another user
	FaultOpen                             // the ledger's directory is open to other users
	FaultSecondName                       // a file of the ledger has a hard link
	FaultReplaced                         // files of the ledger were moved, removed or replaced while it was in use
	FaultNoLocks                          // the file that locks are taken on is gone
	FaultNoDatabase                       // ledger.db is gone or empty
	FaultLostCommits                      // the ledger has fewer commits than there have been
	FaultBadWitness                       // the number of commits cannot be read
)

// What a directory has in it.
const (
	ContentNone   = "none"
	ContentLedger = "ledger"
	ContentOther  = "other"
)

// Within reports whether a directory within another could be a ledger.
type Within int

// The answers: no, if the place is trusted, yes.
const (
	WithinNo Within = iota
	WithinTrusted
	WithinYes
)

func (f *Fault) Error() string {
	if f.Kind == FaultReplaced { // which need be no damage
		return f.Text
	}
	return fmt.Sprintf("%v: %s", f.Is, f.Text)
}

func (f *Fault) Unwrap() error { return f.Is }
