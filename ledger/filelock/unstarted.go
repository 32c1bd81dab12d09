package filelock

import (
	"crypto/sha256"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Unstarted is a list of attempts that a process has recorded as running and whose commands
// it has not started yet. If the process dies, such an attempt has had no effect.
//
// The list is a file on a file system in memory. So it exists as long as it is exact. A disk
// that was taken away may come back with an earlier content. A list on it could name an
// attempt whose command has started. A list that is missing, or that lacks an attempt, says
// nothing.
//
// An attempt is removed from the list by writing over its place, which needs no memory. A
// list whose process is alive is locked.
type Unstarted struct {
	mu   sync.Mutex
	name string
	file *os.File // nil if there is no list on this system
	used []bool   // places of the list
}

// entrySize is the size of a place in bytes. A free place has only zeros.
const entrySize = 16

type entry [entrySize]byte

func entryOf(runID string) entry {
	sum := sha256.Sum256([]byte(runID))
	return entry(sum[:entrySize])
}

// Unstart is an attempt in a list. The zero value is none.
type Unstart struct {
	List  string // names the list, empty for none
	place int
	list  *Unstarted
}

// NewUnstarted returns an empty list. It removes lists of dead processes that are empty too.
func NewUnstarted() *Unstarted {
	removeEmptyLists()
	u := &Unstarted{}
	u.name, u.file = createList()
	return u
}

// Add adds an attempt to the list. The result is the zero value if this is not possible.
func (u *Unstarted) Add(runID string) Unstart {
	if u == nil {
		return Unstart{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file == nil {
		return Unstart{}
	}
	place := 0
	for place < len(u.used) && u.used[place] {
		place++
	}
	e := entryOf(runID)
	if n, err := u.file.WriteAt(e[:], int64(place)*entrySize); n != len(e) || err != nil {
		_, _ = u.file.WriteAt(make([]byte, n), int64(place)*entrySize)
		return Unstart{}
	}
	if place == len(u.used) {
		u.used = append(u.used, false)
	}
	u.used[place] = true
	return Unstart{List: u.name, place: place, list: u}
}

// Remove removes the attempt from its list, because its command is about to be started. It
// does nothing when called again. The error says that the list still has it.
func (s *Unstart) Remove() error {
	u := s.list
	if u == nil {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file != nil {
		if _, err := u.file.WriteAt(make([]byte, entrySize), int64(s.place)*entrySize); err != nil {
			// Without the list, all of its attempts count as started.
			if err := unix.Unlink(listPath(u.name)); err != nil && err != unix.ENOENT {
				return err
			}
		}
	}
	u.used[s.place] = false
	s.list = nil
	return nil
}

// Close ends the list. If it has attempts, they are never started now, and the list stays for
// later callers.
func (u *Unstarted) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file == nil {
		return
	}
	empty := true
	for _, used := range u.used {
		empty = empty && !used
	}
	if empty {
		_ = unix.Unlink(listPath(u.name))
		u.file.Close()
		u.file = nil
	}
}
