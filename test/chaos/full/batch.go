package full

import (
	"path/filepath"

	"idem/test/chaos/lab"
	"idem/test/chaos/resume"
)

// batchItems is the number of items of the batch of a trial.
const batchItems = 30

// batch calls idem each for one list, while the disk fills and again when there is room.
type batch struct {
	*fullTest
	*lab.Harness
	*resume.Batch
	calls int
}

func (f *fullTest) newBatch(d *lab.Harness) (*batch, error) {
	b, err := resume.NewBatch(filepath.Join(d.Dir, "batch"), f.Self, "batch", batchItems)
	return &batch{fullTest: f, Harness: d, Batch: b}, err
}

// callOnce makes a call and checks that no item starts twice.
func (b *batch) callOnce() int {
	b.calls++
	c := b.Call(b.Key, b.calls, b.Args())
	for key, n := range b.Starts() {
		if n > 1 {
			b.Fail(noSecondStart, key, "%d starts after call %d of idem each, with status %d: %s", n, b.calls, c.Code, c.Stderr())
		}
	}
	switch c.Code {
	case 0, lab.ExitLedger, lab.ExitUnrecorded, lab.ExitInterrupted:
	default:
		b.Fail(noOtherEnd, b.Key, "call %d of idem each: status %d: %s", b.calls, c.Code, c.Stderr())
	}
	b.fullTest.mu.Lock()
	defer b.fullTest.mu.Unlock()
	b.batches[c.Code]++
	return c.Code
}

// callWhileFilling makes a few calls while the disk is full from time to time.
func (b *batch) callWhileFilling() {
	for range 4 {
		if b.callOnce() == 0 {
			return
		}
	}
}

// callAgain makes a last call, with room. The items that were reported as done are done. The
// rest is done or interrupted.
func (b *batch) callAgain() {
	acknowledged, before := b.Acknowledged(), b.Starts()
	code := b.callOnce()
	for _, key := range b.Keys() {
		switch n := b.Starts()[key]; {
		case acknowledged[key] && (n != 1 || before[key] != 1):
			b.Fail(noLostOutcome, key, "%d starts, then %d, although it was reported as done", before[key], n)
		case code == 0 && n != 1:
			b.Fail(noLostOutcome, key, "%d starts, although all items are done", n)
		}
	}
	b.fullTest.mu.Lock()
	defer b.fullTest.mu.Unlock()
	b.items += len(acknowledged)
}
