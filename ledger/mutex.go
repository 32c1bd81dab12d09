package ledger

import (
	"fmt"
	"time"
)

// Mutex is a lock that attempts of different keys share. At most Limit attempts hold it
// at the same time, each in one place.
//
// All holders of a mutex have the same limit. An attempt with another limit waits until
// the mutex has no holder. So an attempt with limit 1 excludes attempts with limit 3.
type Mutex struct {
	Name  string // unique in the namespace of the key
	Limit int    // at least 1
}

// MutexState is a mutex that is in use.
type MutexState struct {
	Namespace string
	Name      string
	Limit     int // of the holders; 0 without one
	Holders   []MutexUse
	Waiters   []MutexUse // the first in line first, as far as the ledger knows
}

// MutexUse is a call that holds a mutex or waits for it. Like Owner, it is for people to
// read. The exception is RunID: a call that is made inside of that attempt must not wait
// for the mutex.
type MutexUse struct {
	ID ID
	// RunID is the latest attempt of the call that holds the mutex. Between the attempts
	// of a call, that attempt has ended. RunID is empty for a waiter.
	RunID string
	Owner Owner
	Since time.Time // when the mutex was taken, or when the wait began
	// Leftover reports that no call holds the mutex any more, but processes of the
	// attempt's command do.
	Leftover bool
}

// MutexError is the error of Claim.Begin when a mutex has no free place, or when another
// claim is in its line before this one. Nothing is recorded, and none of the mutexes is
// taken. State describes the mutex at that moment. It has no holder and no waiter if a
// Begin that is about to fail has the place.
type MutexError struct {
	Mutex Mutex
	State MutexState
}

func (e *MutexError) Error() string { return fmt.Sprintf("mutex %q has no free place", e.Mutex.Name) }
