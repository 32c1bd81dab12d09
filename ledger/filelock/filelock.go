// Package filelock has the locks that say which keys of a ledger are alive on this
// host. They are locks of the kernel on files in the ledger's directory.
//
// A record has two locks. The claim is held by idem from before its decision to
// after the outcome is durable. Life is taken for each attempt through a descriptor
// that the command inherits. Both belong to an open file description, so the kernel
// ends them when the last process that has the description open closes it or dies,
// also by kill -9 or when the machine stops. Nothing is removed after a crash, and no
// lock is stale. A kill -9 of idem ends the claim at once, and ends life only when
// the last process of the command has ended.
//
// A process that closes the descriptors it inherits is found by its environment
// instead, see Leftovers.
//
// The mechanism is F_OFD_SETLK on Linux and flock(2) elsewhere. Neither works on
// every network file system; localdir refuses those.
package filelock

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/lenprefix"
	"idem/ledger"
	"idem/ledger/localdir"
)

// Timeout bounds every wait for a lock that is held for one transaction only. A
// process that holds one longer is stopped or on a dying disk.
const Timeout = 30 * time.Second

// ErrTimeout is returned when Timeout is over.
var ErrTimeout = fmt.Errorf("another process has had it locked for %v", Timeout)

// ErrHeld is returned by Space.Take when the lock is held.
var ErrHeld = errors.New("held")

// Kind is one of the two locks of a record.
type Kind int

// The locks of a record.
const (
	// Claim is held by idem from before the decision to after the outcome is
	// durable. Its descriptor is closed on exec.
	Claim Kind = iota
	// Life is taken for each attempt on a descriptor that the command inherits, so
	// the key stays busy as long as a process of the command lives, whatever becomes
	// of idem.
	Life
)

// Name is a record's position among the locks.
type Name [sha256.Size]byte

// NameOf returns the name of a record's locks.
func NameOf(id ledger.ID) Name {
	return sha256.Sum256(lenprefix.Append(nil, id.Namespace, id.Key, id.Window))
}

// Space is all locks of a ledger. An error is a *ledger.Fault when the locks that
// are there are not, or no longer, those of the ledger.
type Space interface {
	// Create makes what the locks need in the ledger's directory.
	Create() error
	// Exists reports whether Create has been done. From then on, the locks that it
	// finds are those of the ledger.
	Exists() (bool, error)
	// Gone is the fault of a ledger without them.
	Gone() error
	// Take takes a lock without waiting, on a file description of its own. The error
	// is ErrHeld when the lock is held, also by this process.
	Take(n Name, k Kind) (*Lock, error)
	// Held reports whether the lock is held, and disturbs no process that tries to
	// take it.
	Held(n Name, k Kind) (bool, error)
	// Queue waits at most Timeout for the turn to write to the ledger. Its file is
	// one for all writers.
	Queue() (*Lock, error)
	// Holders returns processes that have the record's life lock, as far as the
	// kernel shows them: at most five.
	Holders(n Name) []ledger.Process
}

// Lock is a lock that is held through one open file description.
type Lock struct {
	File   *os.File
	unlock func() error
}

// Release ends the lock, also for processes that have inherited it.
func (l *Lock) Release() error { return errors.Join(l.unlock(), l.File.Close()) }

// Leave ends this process's part in the lock: it stays held while a process that
// has inherited the descriptor lives.
func (l *Lock) Leave() error { return l.File.Close() }

// Init waits at most Timeout for the lock under which a ledger and its secret are
// made, one process at a time. flag is os.O_CREATE to make its file, init.lock, if
// there is none.
func Init(dir *localdir.Dir, flag int) (unlock func(), err error) {
	f, err := dir.Open("init.lock", flag|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	unlock = func() { f.Close() }
	if err := inTime(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) }, unlock); err != nil {
		return nil, err
	}
	return unlock, nil
}

// inTime runs a blocking lock call for Timeout at most. undo is called once after a
// call that failed, or after a call that ends when it has been given up.
func inTime(call func() error, undo func()) error {
	done := make(chan error)
	given := make(chan struct{})
	go func() {
		err := call()
		select {
		case done <- err:
		case <-given:
			undo()
		}
	}()
	timer := time.NewTimer(Timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			undo()
		}
		return err
	case <-timer.C:
		close(given)
		return ErrTimeout
	}
}
