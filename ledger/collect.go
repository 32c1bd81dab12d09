package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// Collecting is implemented by a ledger from which outputs and records can be removed in bulk.
// The caller decides which; runner.Retention has the rules. Whatever has changed since it was read
// stays. The methods that read write nothing, and block no other process while the caller handles an
// element.
type Collecting interface {
	// StoredOutputs yields the outputs of all attempts and marks that have one, but for those
	// that are recorded as running. An error is yielded last.
	StoredOutputs(ctx context.Context) iter.Seq2[StoredOutput, error]

	// RemoveOutputs removes outputs for good, and returns those that it has removed. Each of
	// their attempts gets OutputRemoved. An output stays if its attempt is no longer recorded as it
	// was read, if its key is recorded as running, or if it is Needed. A transaction removes at
	// most MaxRemoved.
	//
	// The removal is durable before the bytes are deleted. A kill in between leaves bytes that no
	// record names: an orphan. At the end, a *DamagedError says which outputs
	// stay because their records are damaged.
	RemoveOutputs(ctx context.Context, outputs []StoredOutput) (removed []StoredOutput, err error)

	// OldRecords yields the records without a parent that are not recorded as running and whose latest
	// attempt or mark ended before a time. It leaves out damaged ones. An error is yielded last.
	OldRecords(ctx context.Context, before time.Time) iter.Seq2[OldRecord, error]

	// DropRecords forgets records and all that is below them, as Forget does, and returns those
	// that it has forgotten. A record stays if a call holds it, or if it or a record below it has
	// changed since it was read.
	DropRecords(ctx context.Context, records []OldRecord) (dropped []OldRecord, err error)

	// Sweep deletes the rows of forgotten records. A kill leaves them, and the call that forgot a
	// record again would not find those below it.
	Sweep(ctx context.Context) error

	// Orphans returns recorded outputs that no record names, of runs that began before a time
	// and were not written since. A kill leaves them. It also returns the files among the outputs
	// that cannot be judged. It writes nothing.
	Orphans(ctx context.Context, before time.Time) (orphans []Orphan, unknown []string, err error)

	// RemoveOrphans deletes orphans, and returns those that it has deleted. One stays if a record
	// names it by now.
	RemoveOrphans(ctx context.Context, orphans []Orphan) (removed []Orphan, err error)
}

// Shrinking is implemented by a ledger that gives free space back to the disk on request.
type Shrinking interface {
	// Shrink gives free space back, a piece at a time, so that other calls can write in between. With
	// whole, it copies the whole ledger instead, which needs twice its size in free space, and other
	// calls wait. The error is ErrFull, before anything is written, without that space.
	Shrink(ctx context.Context, whole bool) error

	// HasRoom returns ErrFull if there is too little space for Shrink with whole. It writes nothing.
	HasRoom(ctx context.Context) error
}

// StoredOutput is the recorded output of one attempt or mark.
type StoredOutput struct {
	ID         ID
	RunID      string
	At         time.Time // the end of the attempt, or its start if no end is recorded
	Bytes      int64     // as stored, with a few bytes for each piece
	Superseded bool      // a later attempt or mark decides about the key
	State      State     // of the record
	Child      bool      // the record has a parent
	// Pending: a record above, on any level, has neither succeeded nor is a batch. When it runs
	// again, it takes the value of a step that has succeeded from this output.
	Pending bool
	Ref     int64 // finds the attempt again; only its ledger can read it
}

// Needed reports whether a run that goes on may need the output as the value of its step.
func (o *StoredOutput) Needed() bool { return o.Pending && !o.Superseded }

// OldRecord is a record that a ledger may forget, with what is below it.
type OldRecord struct {
	Record Record // without Inputs and Alive
	Below  Below
	Seen   int64 // changes with each attempt and mark below it; only its ledger can read it
}

// Below describes the steps or items of a record, on all levels.
type Below struct {
	Records int
	Newest  time.Time // when the latest attempt or mark ended, or began without an end
	Running bool      // one is recorded as running: it is running or interrupted
}

// Orphan is a recorded output that no record names.
type Orphan struct {
	RunID string
	Bytes int64
	Host  bool // a shared ledger: it is a file of this host
}

// MaxRemoved is the maximum number of outputs that a transaction of RemoveOutputs removes.
const MaxRemoved = 500

// FirstFew returns how many of some elements one transaction removes: at most MaxRemoved with at most
// a number of bytes, but at least one.
func FirstFew[T any](all []T, most int64, size func(*T) int64) int {
	n, sum := 0, int64(0)
	for n < min(len(all), MaxRemoved) {
		if sum += size(&all[n]); n > 0 && sum > most {
			break
		}
		n++
	}
	return n
}

// EndOf returns the end of an attempt, or its start if no end is recorded.
func EndOf(a Attempt) time.Time {
	if a.Ended.IsZero() {
		return a.Started
	}
	return a.Ended
}

// DamagedError is the error of outputs that stay because the rows of their attempts are damaged. It
// is an ErrCorrupt.
type DamagedError struct{ Outputs []StoredOutput }

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%v: %d attempts with an output", ErrCorrupt, len(e.Outputs))
}

func (e *DamagedError) Unwrap() error { return ErrCorrupt }

// Unchanged reports whether an error of forgetting one record says that it stays as it is: it has
// changed, is held, or is gone.
func Unchanged(err error) bool {
	return errors.As(err, new(*BusyError)) || errors.As(err, new(*KeptError)) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrChanged)
}

// RunTime returns when the run ID was made. It reports false for another text: a UUIDv7
// begins with the time in milliseconds.
func RunTime(runID string) (time.Time, bool) {
	if len(runID) != 36 || runID[8] != '-' || runID[13] != '-' || runID[14] != '7' || runID[18] != '-' || runID[23] != '-' {
		return time.Time{}, false
	}
	digits := strings.ReplaceAll(runID, "-", "")
	ms, err := strconv.ParseUint(digits[:12], 16, 64)
	if err != nil || strings.Trim(digits, "0123456789abcdef") != "" {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(ms)).UTC(), true
}
