package runner

import (
	"slices"
	"time"

	"idem/ledger"
)

// Retention says what a ledger need not keep. A time is a limit: what ended before it may go, and
// the zero time keeps everything. A dry run and a run ask the same Retention, with the same limits.
type Retention struct {
	Namespace  string       // only records in it; empty: in all
	Superseded time.Time    // outputs of attempts that no longer decide about their key
	Outputs    time.Time    // outputs of all attempts
	Room       time.Time    // outputs of all attempts, because they take too much space: see Fit
	Windows    time.Time    // records of calendar windows
	Keys       time.Time    // records whose key matches Patterns
	Patterns   ledger.Globs // at least one if Keys is set
}

// Removal is why something is removed. Keep is the empty one.
type Removal string

// The reasons for a removal.
const (
	Keep              Removal = ""
	RemovalSuperseded Removal = "superseded"
	RemovalOld        Removal = "old"
	RemovalRoom       Removal = "room"
	RemovalWindow     Removal = "window"
	RemovalKey        Removal = "key"
)

// Output decides about a recorded output. A running or interrupted key keeps its outputs, and one
// that has not succeeded keeps those of its steps, which it takes as values when it runs again.
func (r *Retention) Output(o ledger.StoredOutput) Removal {
	switch {
	case !r.In(o.ID) || o.State == ledger.Running, o.Needed():
		return Keep
	case o.Superseded && o.At.Before(r.Superseded):
		return RemovalSuperseded
	case o.At.Before(r.Outputs):
		return RemovalOld
	case o.At.Before(r.Room):
		return RemovalRoom
	}
	return Keep
}

// Record decides about a record without a parent. It goes with all that is below it, so it is as
// old as the youngest of these records, and is kept while one of them is running or interrupted.
// A record that was marked to run again has no outcome to forget. It is kept.
func (r *Retention) Record(o ledger.OldRecord) Removal {
	rec := &o.Record
	ended := ledger.EndOf(rec.Current)
	if o.Below.Newest.After(ended) {
		ended = o.Below.Newest
	}
	settled := false
	switch rec.Current.State {
	case ledger.Succeeded, ledger.Failed, ledger.Batch:
		settled = true
	}
	switch {
	case !r.In(rec.ID) || !settled || o.Below.Running || rec.Parent != (ledger.ID{}):
		return Keep
	case rec.ID.Window != "" && ended.Before(r.Windows):
		return RemovalWindow
	case ended.Before(r.Keys) && len(r.Patterns) > 0 && r.Patterns.Match(rec.ID.Key):
		return RemovalKey
	}
	return Keep
}

// Oldest returns the latest time before which a record may go.
func (r *Retention) Oldest() time.Time {
	if r.Windows.After(r.Keys) {
		return r.Windows
	}
	return r.Keys
}

// In reports whether a record is in the namespace of the retention.
func (r *Retention) In(id ledger.ID) bool { return r.Namespace == "" || r.Namespace == id.Namespace }

// Sized is an output that Fit may remove.
type Sized struct {
	At    time.Time
	Bytes int64
}

// Fit returns the value of Room with which the outputs need at most a number of bytes: those that
// ended before it are the oldest. It changes the order of the outputs.
func Fit(outputs []Sized, most int64) time.Time {
	slices.SortFunc(outputs, func(a, b Sized) int { return b.At.Compare(a.At) })
	sum := int64(0)
	for _, o := range outputs {
		if sum += o.Bytes; sum > most {
			return o.At.Add(time.Nanosecond)
		}
	}
	return time.Time{}
}
