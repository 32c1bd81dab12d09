package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"idem/ledger"
)

// lockTimeout bounds every wait for a lock that is held for one transaction
// only. Who holds it longer is stopped or on a dying disk.
const lockTimeout = 30 * time.Second

// errLocked is returned when lockTimeout is over.
var errLocked = fmt.Errorf("another process has had it locked for %v", lockTimeout)

// errHeld is returned by lockSpace.take when somebody else has the lock.
var errHeld = errors.New("held")

// kind is one of the two locks of a record.
type kind int

const (
	// claimLock is held by idem from before the decision to after the outcome
	// is durable. Its descriptor is closed on exec.
	claimLock kind = iota
	// lifeLock is taken for each attempt on a descriptor that the command
	// inherits, so that the key stays busy as long as anything of the command
	// lives, whatever becomes of idem.
	lifeLock
)

// lockName is a record's place among the locks.
type lockName [sha256.Size]byte

func nameOf(id ledger.ID) lockName {
	var b []byte
	for _, field := range []string{id.Namespace, id.Key, id.Window} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	return sha256.Sum256(b)
}

// lockSpace is all locks of a ledger. They are the kernel's, belong to an open
// file description, and so end with the last process that has it open.
type lockSpace interface {
	// create makes what the space needs in the ledger's directory.
	create() error
	// exists reports whether create has been done. From then on, the locks
	// that it finds are those of the ledger.
	exists() (bool, error)
	// gone is the fault of a ledger without them.
	gone() error
	// take takes a lock without waiting, on a file description of its own.
	take(n lockName, k kind) (*lock, error)
	// held tells whether somebody has the lock, without disturbing anybody
	// who tries to take it.
	held(n lockName, k kind) (bool, error)
	// queue waits for the turn to write. The error is a *ledger.Fault when the
	// locks are no longer those of the ledger.
	queue() (*turn, error)
}

// lock is a lock that is held through one open file description.
type lock struct {
	file   *os.File
	unlock func() error
}

// release ends the lock, also for processes that have inherited it.
func (l *lock) release() error { return errors.Join(l.unlock(), l.file.Close()) }

// leave ends this process's part in the lock: it stays held while a process
// that has inherited the descriptor lives.
func (l *lock) leave() error { return l.file.Close() }

// inTime runs a blocking lock call for lockTimeout at most. One that comes to
// nothing is undone, once: when it has failed or, given up, when it ends after all.
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
	timer := time.NewTimer(lockTimeout)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			undo()
		}
		return err
	case <-timer.C:
		close(given)
		return errLocked
	}
}
