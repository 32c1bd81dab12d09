package ledgertest

import (
	"context"
	"errors"
	"iter"
	"sync"

	"idem/ledger"
)

// ErrFaulty is the default error of a Faulty.
var ErrFaulty = errors.New("the ledger fails, as the test asked")

// Faulty is a Ledger whose FailAt-th call fails. It counts, from 1, the calls of all
// methods of the ledger, its claims and its executions that can return an error. A test
// runs once for each number up to that of its calls, and checks the effect of each failure.
type Faulty struct {
	ledger.Ledger
	FailAt int
	// After makes the failing call do its work and then fail, as when the answer to a
	// commit is lost. The result of the call is lost too. For example, a claim stays
	// held.
	After bool
	// Err is the error to fail with; nil means ErrFaulty.
	Err error

	mu    sync.Mutex
	calls []string
}

// Calls returns the names of the calls so far, in order. The failed one is
// Calls()[FailAt-1].
func (f *Faulty) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

// faults counts a call and makes it, unless it is the one that fails.
func faults[T any](f *Faulty, name string, call func() (T, error)) (T, error) {
	f.mu.Lock()
	f.calls = append(f.calls, name)
	fail := len(f.calls) == f.FailAt
	f.mu.Unlock()
	if !fail {
		return call()
	}
	var none T
	if f.After {
		got, err := call()
		if err != nil {
			return got, err
		}
		// Close a lost output, so that it does not leak. It is not part of the ledger.
		if out, ok := any(got).(ledger.Output); ok {
			out.Close()
		}
	}
	if f.Err != nil {
		return none, f.Err
	}
	return none, ErrFaulty
}

// fault is faults for a call that returns only an error.
func (f *Faulty) fault(name string, call func() error) error {
	_, err := faults(f, name, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// Get implements ledger.Ledger.
func (f *Faulty) Get(ctx context.Context, id ledger.ID) (ledger.Record, error) {
	return faults(f, "Get", func() (ledger.Record, error) { return f.Ledger.Get(ctx, id) })
}

func (f *Faulty) Claim(ctx context.Context, id ledger.ID) (ledger.Claim, error) {
	return faults(f, "Claim", func() (ledger.Claim, error) {
		c, err := f.Ledger.Claim(ctx, id)
		if err != nil {
			return nil, err
		}
		return &faultyClaim{Claim: c, f: f}, nil
	})
}

func (f *Faulty) Wait(ctx context.Context, id ledger.ID) error {
	return f.fault("Wait", func() error { return f.Ledger.Wait(ctx, id) })
}

func (f *Faulty) List(ctx context.Context, filter ledger.Filter) iter.Seq2[ledger.Record, error] {
	return seq(faults(f, "List", func() ([]ledger.Record, error) { return ledger.Collect(f.Ledger.List(ctx, filter)) }))
}

func (f *Faulty) Attempts(ctx context.Context, id ledger.ID) ([]ledger.Attempt, error) {
	return faults(f, "Attempts", func() ([]ledger.Attempt, error) { return f.Ledger.Attempts(ctx, id) })
}

func (f *Faulty) Output(ctx context.Context, id ledger.ID, runID string) (ledger.Output, error) {
	return faults(f, "Output", func() (ledger.Output, error) { return f.Ledger.Output(ctx, id, runID) })
}

func (f *Faulty) Files(ctx context.Context, id ledger.ID, runID string) ([]ledger.File, error) {
	return faults(f, "Files", func() ([]ledger.File, error) { return f.Ledger.Files(ctx, id, runID) })
}

func (f *Faulty) Mutexes(ctx context.Context, namespace string, names ...string) ([]ledger.MutexState, error) {
	return faults(f, "Mutexes", func() ([]ledger.MutexState, error) { return f.Ledger.Mutexes(ctx, namespace, names...) })
}

func (f *Faulty) Forget(ctx context.Context, id ledger.ID) error {
	return f.fault("Forget", func() error { return f.Ledger.Forget(ctx, id) })
}

func (f *Faulty) ForgetIf(ctx context.Context, was ledger.Record) error {
	return f.fault("ForgetIf", func() error { return f.Ledger.ForgetIf(ctx, was) })
}

func (f *Faulty) Close() error {
	return f.fault("Close", f.Ledger.Close)
}

type faultyClaim struct {
	ledger.Claim
	f *Faulty
}

func (c *faultyClaim) Record(ctx context.Context) (ledger.Record, error) {
	return faults(c.f, "Record", func() (ledger.Record, error) { return c.Claim.Record(ctx) })
}

func (c *faultyClaim) Begin(ctx context.Context, s ledger.Start) (ledger.Execution, error) {
	return faults(c.f, "Begin", func() (ledger.Execution, error) {
		x, err := c.Claim.Begin(ctx, s)
		if err != nil {
			return nil, err
		}
		wrapped := &faultyExecution{Execution: x, f: c.f}
		if i, ok := x.(ledger.Inheriting); ok {
			return &faultyInheriting{faultyExecution: wrapped, Inheriting: i}, nil
		}
		return wrapped, nil
	})
}

func (c *faultyClaim) Queue(ctx context.Context, mutexes []ledger.Mutex, owner ledger.Owner) error {
	return c.f.fault("Queue", func() error { return c.Claim.Queue(ctx, mutexes, owner) })
}

func (c *faultyClaim) Mark(ctx context.Context, m ledger.Mark) (ledger.Attempt, error) {
	return faults(c.f, "Mark", func() (ledger.Attempt, error) { return c.Claim.Mark(ctx, m) })
}

func (c *faultyClaim) Adopt(ctx context.Context, o ledger.Origin) error {
	return c.f.fault("Adopt", func() error { return c.Claim.Adopt(ctx, o) })
}

func (c *faultyClaim) Release() error {
	return c.f.fault("Release", c.Claim.Release)
}

type faultyExecution struct {
	ledger.Execution
	f *Faulty
}

// faultyInheriting wraps an execution whose descriptors the command inherits.
type faultyInheriting struct {
	*faultyExecution
	ledger.Inheriting
}

func (x *faultyExecution) Finish(ctx context.Context, o ledger.Outcome) (ledger.Attempt, error) {
	return faults(x.f, "Finish", func() (ledger.Attempt, error) { return x.Execution.Finish(ctx, o) })
}

func (x *faultyExecution) Abandon(ctx context.Context) error {
	return x.f.fault("Abandon", func() error { return x.Execution.Abandon(ctx) })
}
