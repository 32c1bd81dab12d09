package ledgertest

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"idem/ledger"
)

// Mem is the storage of a ledger in memory. It implements the contract as simply as
// possible, for comparison and for fast tests. One lock guards everything, so each call
// ends before the next one starts.
type Mem struct {
	mu      sync.Mutex
	records map[ledger.ID]*memRecord
	mutexes map[memName]*memMutex
	clock   int64         // counts attempts and marks
	freed   chan struct{} // closed and replaced when a claim ends or leaves a line
}

// memRecord is the record of a key. The last attempt is the current one.
type memRecord struct {
	generation int64
	fence      int64
	series     int64
	parent     ledger.ID
	attempts   []ledger.Attempt      // never changed in place, so that Abandon can go back
	outputs    map[string]*memOutput // by run ID
	files      map[string][]ledger.File
	touched    int64
	holder     *memClaim
}

// NewMem returns an empty storage.
func NewMem() *Mem {
	return &Mem{
		records: map[ledger.ID]*memRecord{},
		mutexes: map[memName]*memMutex{},
		freed:   make(chan struct{}),
	}
}

// Open returns a handle, which represents a separate process.
func (m *Mem) Open() ledger.Ledger {
	return &memHandle{Mem: m}
}

// Crash has the effect that the death of its process has on a handle. Its claims end, and
// its records stay as they are.
func (m *Mem) Crash(l ledger.Ledger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if r.holder != nil && r.holder.handle == l {
			m.free(r)
		}
	}
}

func (m *Mem) free(r *memRecord) {
	m.dropMutexes(r.holder)
	r.holder = nil
	m.wake()
}

// wake makes all calls that wait look again.
func (m *Mem) wake() {
	close(m.freed)
	m.freed = make(chan struct{})
}

// touch makes r the key with the latest attempt or mark.
func (m *Mem) touch(r *memRecord) {
	m.clock++
	r.touched = m.clock
}

// at returns the record of id. If there is none, it adds an empty one, which is equivalent.
func (m *Mem) at(id ledger.ID) *memRecord {
	r := m.records[id]
	if r == nil {
		r = &memRecord{generation: 1, outputs: map[string]*memOutput{}, files: map[string][]ledger.File{}}
		m.records[id] = r
	}
	return r
}

func (m *Mem) busy(id ledger.ID) error {
	return &ledger.BusyError{ID: id, Record: m.at(id).record(id)}
}

func (r *memRecord) record(id ledger.ID) ledger.Record {
	out := ledger.Record{ID: id, Generation: r.generation, Fence: r.fence, Series: r.series, Parent: r.parent, Current: r.current()}
	for _, a := range r.attempts {
		out.Attempts = max(out.Attempts, a.Number)
	}
	out.Alive = (out.Current.State == ledger.Running || out.Current.State == ledger.Failed) && r.holder != nil
	return out
}

func (r *memRecord) current() ledger.Attempt {
	if len(r.attempts) == 0 {
		return ledger.Attempt{}
	}
	return r.attempts[len(r.attempts)-1]
}

// replace replaces the current attempt by a.
func (r *memRecord) replace(a ledger.Attempt) {
	r.attempts = append(slices.Clone(r.attempts[:len(r.attempts)-1]), a)
}

// settle records a current attempt that is still running as lost.
func (r *memRecord) settle() {
	if a := r.current(); a.State == ledger.Running {
		a.State, a.Reason = ledger.Failed, ledger.ReasonLost
		r.replace(a)
	}
}

func now() time.Time {
	return time.Now().UTC().Round(0)
}

// memHandle is one process's view of a Mem.
type memHandle struct {
	*Mem
}

func (h *memHandle) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at(id).record(id), ctx.Err()
}

func (h *memHandle) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := h.at(id)
	if r.holder != nil {
		return nil, h.busy(id)
	}
	r.holder = &memClaim{handle: h, id: id, r: r}
	return r.holder, nil
}

func (h *memHandle) Wait(ctx context.Context, id ledger.ID) error {
	for {
		h.mu.Lock()
		held, freed := h.at(id).holder != nil, h.freed
		h.mu.Unlock()
		if !held {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *memHandle) List(ctx context.Context, f ledger.Filter) iter.Seq2[ledger.Record, error] {
	return seq(h.list(ctx, f))
}

// seq yields elements and then an error, if there is one.
func seq[T any](all []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, x := range all {
			if !yield(x, nil) {
				return
			}
		}
		if err != nil {
			yield(*new(T), err)
		}
	}
}

func (h *memHandle) list(ctx context.Context, f ledger.Filter) ([]ledger.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []ledger.Record
	for id, r := range h.records {
		rec := r.record(id)
		if !f.Selects(rec) {
			continue
		}
		rec.Current.Inputs = nil
		out = append(out, rec)
	}
	slices.SortFunc(out, func(a, b ledger.Record) int {
		return cmp.Compare(h.records[b.ID].touched, h.records[a.ID].touched)
	})
	if f.OldestFirst {
		slices.Reverse(out)
	}
	if f.Limit > 0 && len(out) > f.Limit {
		out = out[:f.Limit]
	}
	return out, ctx.Err()
}

func (h *memHandle) Attempts(ctx context.Context, id ledger.ID) ([]ledger.Attempt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.at(id).attempts), ctx.Err()
}

func (h *memHandle) Output(ctx context.Context, id ledger.ID, runID string) (ledger.Output, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o := h.at(id).outputs[runID]
	if o == nil {
		return nil, ledger.ErrNotFound
	}
	return &memReader{m: h.Mem, from: o}, nil
}

func (h *memHandle) Files(ctx context.Context, id ledger.ID, runID string) ([]ledger.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.at(id)
	if r.outputs[runID] == nil { // every attempt has an output
		return nil, cmp.Or(ctx.Err(), ledger.ErrNotFound)
	}
	return cloneFiles(r.files[runID]), ctx.Err()
}

// cloneFiles returns a copy that a caller may change without changing the stored files.
func cloneFiles(files []ledger.File) []ledger.File {
	files = slices.Clone(files)
	for i, f := range files {
		files[i].Content = slices.Clone(f.Content)
	}
	return files
}

func (h *memHandle) Forget(ctx context.Context, id ledger.ID) error {
	return h.forget(ctx, id, nil)
}

func (h *memHandle) ForgetIf(ctx context.Context, was ledger.Record) error {
	return h.forget(ctx, was.ID, &was)
}

func (h *memHandle) forget(ctx context.Context, id ledger.ID, was *ledger.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.at(id)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.holder != nil:
		return h.busy(id)
	case was != nil && r.changed(*was):
		return ledger.ErrChanged
	case len(r.attempts) == 0 && len(h.below(id)) == 0:
		return ledger.ErrNotFound
	}
	if err := h.renew(id); err != nil {
		return err
	}
	r.forget()
	return nil
}

func (h *memHandle) Close() error {
	return nil
}
