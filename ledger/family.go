package ledger

import (
	"context"
	"fmt"
	"strings"
)

// Origin says where a step or an item comes from. A record with a parent is a step of a
// run or an item of a batch. Its key is the key of the parent, a slash and a name, and
// namespace and window are those of the parent. The parent itself need not be recorded.
//
// A record belongs to one series of its parent. Forget, Start.Renew and Mark.Renew begin
// a new series. Records of an earlier series are forgotten at that moment, and so are all
// records below them. Get returns a forgotten record with state None in a new generation.
// List omits it, and its outputs are not found. Its rows may be deleted later.
//
// Generation and fence of a key never take a value again that they had before, not even
// after the record was deleted. So a new series gives greater numbers to all records below
// a key. The same holds for a new record whose key begins with the key of another record
// and a slash.
type Origin struct {
	Parent ID
	// RunID is the attempt of the parent that made the step. For an item, it is the run
	// ID of the call that made the batch. Empty: the call was not made by the parent.
	RunID string
}

// Check returns an error unless id can be the key of a step or an item of o.
func (o Origin) Check(id ID) error {
	p := o.Parent
	if p == (ID{}) || p.Namespace == id.Namespace && p.Window == id.Window && strings.HasPrefix(id.Key, p.Key+"/") {
		return nil
	}
	return fmt.Errorf("key %q is not below key %q", id.Key, p.Key)
}

// Grouping is implemented by a ledger that can make changes of several claims durable with
// one commit.
type Grouping interface {
	// Together calls all changes at the same time, the last one in the goroutine of the caller,
	// and returns when all have returned. Each changes the ledger through another claim. The
	// ledger tries to commit their first changes together, also with those of other calls
	// of Together. Each change is acknowledged and fails separately, as without Together,
	// and no change is acknowledged before it is durable.
	//
	// A change gets ctx with the call of Together, and makes its changes with it. With another
	// context, more commits may be needed. A change must not wait for another one, and must
	// not call Together.
	Together(ctx context.Context, changes ...func(ctx context.Context))
}

// Together is Grouping.Together of l, or calls the changes one after the other.
func Together(ctx context.Context, l Ledger, changes ...func(ctx context.Context)) {
	if g, ok := l.(Grouping); ok {
		g.Together(ctx, changes...)
		return
	}
	for _, change := range changes {
		change(ctx)
	}
}

// Sustaining is implemented by a ledger that can prepare for a batch.
type Sustaining interface {
	// Sustain says that many changes follow, until end is called. Without the call of end,
	// later calls may be slower.
	//
	// Until then, an attempt may be taken back if its process dies before Descriptors of its
	// Execution is called. It is read as abandoned, because its command was never started.
	Sustain() (end func())
}

// Sustain is Sustaining.Sustain of l, or does nothing.
func Sustain(l Ledger) (end func()) {
	if s, ok := l.(Sustaining); ok {
		return s.Sustain()
	}
	return func() {}
}

// Surveying is implemented by a ledger that can look at all records below a parent at a
// cost far below that of Get for each.
type Surveying interface {
	// Successes reads which records directly below parent have succeeded at this moment.
	Successes(ctx context.Context, parent ID) (Successes, error)
	// Tallies counts the records directly below each of the parents by their phase.
	// Without an argument, it counts those of all parents in the ledger.
	Tallies(ctx context.Context, parents ...ID) (map[ID]Tally, error)
}

// Successes is the result of Surveying.Successes. It needs about 16 bytes of memory for
// each record.
type Successes interface {
	// Has reports whether the record of id had succeeded with this fingerprint. If the
	// result is false, the record may nevertheless have done so: Get then decides.
	Has(id ID, fingerprint string) bool
	// Bytes returns about how much memory it needs.
	Bytes() int
}

// Tally is a number of records by phase.
type Tally map[Phase]int

// Total returns the number of all its records.
func (t Tally) Total() int {
	n := 0
	for _, k := range t {
		n += k
	}
	return n
}

// Add adds the records of another tally.
func (t Tally) Add(o Tally) {
	for phase, n := range o {
		t[phase] += n
	}
}
