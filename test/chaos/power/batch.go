package power

import (
	"path/filepath"

	"idem/test/chaos/lab"
	"idem/test/chaos/resume"
)

// batchItems is the number of items of a batch, which usually takes longer than a cut.
const batchItems = 40

func (p *powerTest) newBatch(key string) (*resume.Batch, error) {
	return resume.NewBatch(filepath.Join(p.Dir, "batches", key), p.Self, key, batchItems)
}

// checkBatch calls a batch again after a cut. Items that were reported as done, or that
// had started, must not start again.
func (p *powerTest) checkBatch(b *resume.Batch) {
	acknowledged, before := b.Acknowledged(), b.Starts()
	c := p.Call(b.Key, 2, b.Args())
	after := b.Starts()
	missing := 0
	for _, key := range b.Keys() {
		switch {
		case acknowledged[key] && after[key] != 1:
			p.lost(noForgetting, key, "status %d, %d starts: %s", c.Code, after[key], c.Stderr())
		case before[key] > 0 && after[key] != before[key]:
			p.lost(noRestart, key, "status %d, %d starts", c.Code, after[key])
		case after[key] == 0:
			missing++
		}
		if before[key] > 0 && !acknowledged[key] {
			p.count(&p.unfinished, 1)
		}
	}
	p.count(&p.items, len(acknowledged))
	if c.Code != 0 && c.Code != lab.ExitInterrupted || c.Code == 0 && missing > 0 {
		p.lost(noFalseEnd, b.Key, "after the cut: status %d, %d items did not start: %s", c.Code, missing, c.Stderr())
	}
}

func (p *powerTest) count(to *int, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*to += n
}

// lost reports an outcome that a cut has lost.
func (p *powerTest) lost(promise, key, format string, args ...any) {
	p.count(&p.losses, 1)
	p.Fail(promise, key, format, args...)
}
