package ledgertest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"iter"
	"slices"

	"idem/internal/lenprefix"
	"idem/ledger"
)

// Numbers implements ledger.Transferring.
func (h *memHandle) Numbers(ctx context.Context, namespace string) iter.Seq2[ledger.Record, error] {
	return seq(h.numbers(ctx, namespace))
}

func (h *memHandle) numbers(ctx context.Context, namespace string) ([]ledger.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []ledger.Record
	for id, r := range h.records {
		rec := ledger.Record{ID: id, Generation: r.generation, Fence: r.fence, Series: r.series}
		rec.Current.RunID = r.current().RunID
		fresh := r.generation == 1 && r.fence == 0
		if (namespace == "" || namespace == id.Namespace) && (r.series != 0 || rec.Current.RunID == "" && !fresh) {
			out = append(out, rec)
		}
	}
	slices.SortFunc(out, func(a, b ledger.Record) int { return bytes.Compare(hashOf(a.ID), hashOf(b.ID)) })
	return out, ctx.Err()
}

// hashOf returns the SHA-256 of an ID, as filelock.NameOf computes it.
func hashOf(id ledger.ID) []byte {
	sum := sha256.Sum256(lenprefix.Append(nil, id.Namespace, id.Key, id.Window))
	return sum[:]
}

// Put implements ledger.Receiving.
func (c *memClaim) Put(ctx context.Context, im ledger.Import) error {
	var attempts []ledger.Attempt
	outputs, files := map[string]*memOutput{}, map[string][]ledger.File{}
	for im.Next != nil {
		p, err := im.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if p.Attempt != nil {
			attempts = append(attempts, *p.Attempt)
			outputs[p.Attempt.RunID] = &memOutput{}
			continue
		}
		run := attempts[len(attempts)-1].RunID
		switch {
		case p.Chunk != nil:
			chunk := *p.Chunk
			chunk.Bytes = slices.Clone(chunk.Bytes)
			outputs[run].chunks = append(outputs[run].chunks, chunk)
		case p.File != nil:
			files[run] = append(files[run], *p.File)
		}
	}
	m, r := c.handle.Mem, c.r
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.holder != c:
		return ledger.ErrLost
	case r.changed(im.Expect):
		return ledger.ErrChanged
	case len(attempts) > 0 && ledger.Unsettles(r.current(), attempts[len(attempts)-1], func(runID string) bool { return outputs[runID] != nil }):
		return ledger.ErrHistory
	}
	if err := (ledger.Origin{Parent: im.Parent}).Check(c.id); err != nil {
		return err
	}
	if im.Next != nil || len(r.attempts) == 0 {
		r.generation = max(r.generation, im.Generation)
	}
	r.fence = max(r.fence, im.Fence)
	if len(m.below(c.id)) == 0 {
		r.series = max(r.series, im.Series)
	}
	if im.Next == nil {
		return nil
	}
	for i, a := range attempts {
		if old := slices.IndexFunc(r.attempts, func(b ledger.Attempt) bool { return b.RunID == a.RunID }); old >= 0 && !a.OutputRemoved.IsZero() {
			if was := r.attempts[old]; was.OutputRemoved.IsZero() && was.State == a.State {
				outputs[a.RunID] = r.outputs[a.RunID]
				attempts[i].OutputRemoved, attempts[i].Truncated = was.OutputRemoved, was.Truncated
			}
		}
	}
	r.attempts, r.outputs, r.files = attempts, outputs, files
	r.adopt(ledger.Origin{Parent: cmp.Or(im.Parent, r.parent)})
	m.touch(r)
	return nil
}
