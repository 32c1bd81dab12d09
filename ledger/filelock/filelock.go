// Package filelock has the locks that show which keys of a ledger are alive on this
// host. They are kernel locks on files in the ledger's directory.
//
// A record has two locks:
//   - The claim is held by idem from before its decision to after the outcome is
//     durable.
//   - Life is taken for each attempt, through a descriptor that the command inherits.
//
// Both belong to an open file description. The kernel ends a lock when the last process
// that has the description open closes it or dies, also after kill -9 or a crash of the
// machine. So no lock is stale, and nothing has to be removed after a crash. A kill -9
// of idem ends the claim at once. It ends life only when the last process of the
// command has ended.
//
// Each place of a mutex has a lock that is held like life, but until the claim ends. Each
// claim in the line of a mutex has a ticket, whose lock is held like a claim. It shows that
// the claim is still in line.
//
// A process that closes the descriptors it inherits is found by its environment
// instead, see Leftovers.
//
// The mechanism is F_OFD_SETLK on Linux and flock(2) elsewhere. Neither works on
// every network file system, so package localdir refuses network file systems.
package filelock

import (
	"crypto/sha256"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/lenprefix"
	"idem/ledger"
	"idem/ledger/localdir"
)

// Timeout is the maximum wait for a lock that is held for one transaction only. A
// process that holds such a lock longer is stopped or waits for a failing disk.
const Timeout = 30 * time.Second

// ErrTimeout is returned after a wait of Timeout.
var ErrTimeout = errors.New("another process has had it locked for " + Timeout.String())

// ErrHeld is returned by Space.Take when the lock is held.
var ErrHeld = errors.New("held")

// Kind is one of the two locks of a record.
type Kind int

// The locks of a record.
const (
	// Claim is held by idem from before the decision to after the outcome is
	// durable. Its descriptor is closed on exec.
	Claim Kind = iota
	// Life is taken for each attempt on a descriptor that the command inherits. So
	// the key stays busy while a process of the command lives, even if idem has died.
	Life
)

// Name identifies the locks of a record: the SHA-256 of its ID. The locks of mutexes have
// names too. These are hashes of more or fewer fields, so they differ from those of records.
type Name [sha256.Size]byte

// NameOf returns the name of a record's locks.
func NameOf(id ledger.ID) Name {
	return sha256.Sum256(lenprefix.Append(nil, id.Namespace, id.Key, id.Window))
}

// PlaceName returns the name of one place of a mutex, 1 or greater. A holder has the life lock
// of that name.
func PlaceName(namespace, mutex string, place int) Name {
	return sha256.Sum256(lenprefix.Append(nil, namespace, "mutex", mutex, strconv.Itoa(place)))
}

// TicketName returns the name of a ticket, with which a claim waits in the lines of
// mutexes. A waiter has the claim lock of that name.
func TicketName(ticket int64) Name {
	return sha256.Sum256(lenprefix.Append(nil, "ticket", strconv.FormatInt(ticket, 10)))
}

// Space is the set of all locks of a ledger. An error is a *ledger.Fault when the lock
// files are missing or are not those of the ledger.
type Space interface {
	// Create creates the files that the locks need in the ledger's directory. The file on
	// which writers queue has the content first, if there is any, from the start.
	Create(first []byte) error
	// Remove takes the name of these files away, so that no process finds them.
	Remove() error
	// Busy reports whether another process, or another open file of this one, has any
	// lock but that of the queue.
	Busy() (bool, error)
	// Exists reports whether the files of Create exist. If so, it pins them: from
	// then on, no other files are accepted as the locks of the ledger.
	Exists() (bool, error)
	// Gone returns the fault of a ledger without locks.
	Gone() error
	// Take takes a lock without waiting, on a new open file description. The error
	// is ErrHeld when the lock is held, also by this process.
	Take(n Name, k Kind) (*Lock, error)
	// Held reports whether the lock is held. It does not disturb a process that
	// tries to take the lock.
	Held(n Name, k Kind) (bool, error)
	// Queue waits at most Timeout for the turn to write to the ledger. All writers
	// lock the same file.
	Queue() (*Lock, error)
	// Witness opens the file that Queue locks, for reading.
	Witness() (*os.File, error)
	// Holders returns processes that have the record's life lock, as far as the
	// kernel shows them. It returns at most five.
	Holders(n Name) []ledger.Process
	// Every returns the IDs of all processes that have the record's life lock, as far as
	// the kernel shows them. This process can be one of them.
	Every(n Name) []int
}

// Lock is a held lock of one open file description.
type Lock struct {
	File   *os.File
	unlock func() error
	other  func(k Kind) (bool, error)
}

// OtherHeld reports whether another lock of the same record is held. It is Space.Held at
// a lower cost.
func (l *Lock) OtherHeld(k Kind) (bool, error) { return l.other(k) }

// Release unlocks. The lock ends also for processes that have inherited it.
func (l *Lock) Release() error { return errors.Join(l.unlock(), l.File.Close()) }

// Leave closes this process's descriptor without unlocking. The lock stays held while
// a process lives that has inherited the descriptor.
func (l *Lock) Leave() error {
	// A process that another goroutine starts now has the descriptor until its exec.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return l.File.Close()
}

// End gives the lock of a command's processes up. If the command was killed, those of its
// processes that go on keep the lock.
func (l *Lock) End(killed bool) error {
	if killed {
		return l.Leave()
	}
	return l.Release()
}

// TakeClaim takes the claim of a record for a call. The error is ErrHeld if another call has it.
// It is ErrHeld with leftover if processes of a command have the life lock. A process takes that
// only while it holds the claim, so the idem of these processes has died.
func TakeClaim(s Space, n Name) (lock *Lock, leftover bool, err error) {
	if lock, err = s.Take(n, Claim); err != nil {
		return nil, false, err
	}
	if leftover, err = lock.OtherHeld(Life); leftover && err == nil {
		err = ErrHeld
	}
	if err != nil {
		_ = lock.Release()
		return nil, leftover, err
	}
	return lock, false, nil
}

// InUse reports whether a call has the claim of a record, or processes of its command have the
// life lock. The claim is looked at first, because life is taken while the claim is held.
func InUse(s Space, n Name) (bool, error) {
	claimed, err := s.Held(n, Claim)
	if claimed || err != nil {
		return claimed, err
	}
	return s.Held(n, Life)
}

// Init locks init.lock, under which one process at a time creates a ledger and its
// secret. It waits at most Timeout. With os.O_CREATE as the flag, it creates a missing
// init.lock.
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

// inTime runs a blocking lock call and gives it up after Timeout. It calls undo once
// after a call that fails, or when a call returns after it was given up.
func inTime(call func() error, undo func()) error {
	done := make(chan error)
	givenUp := make(chan struct{})
	go func() {
		err := call()
		select {
		case done <- err:
		case <-givenUp:
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
		close(givenUp)
		return ErrTimeout
	}
}
