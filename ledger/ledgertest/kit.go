package ledgertest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"idem/ledger"
)

// hangGuard is the time after which a case whose ledger hangs is ended. No promise depends
// on it.
const hangGuard = 5 * time.Minute

// kit has two handles on a new ledger, and helpers that end the case when an operation that
// should work fails.
type kit struct {
	*testing.T
	ctx   context.Context
	h     Harness
	place string
	a, b  ledger.Ledger
}

func newKit(t *testing.T, h Harness) *kit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangGuard)
	t.Cleanup(cancel)
	k := &kit{T: t, ctx: ctx, h: h, place: h.New(t)}
	k.a, k.b = k.open(), k.open()
	return k
}

// end checks the ledger after the case, which must not have damaged it.
func (k *kit) end() {
	k.Helper()
	fresh := k.open()
	k.invariants(fresh)
	k.check() // as a process that is killed leaves it
	for _, l := range []ledger.Ledger{fresh, k.a, k.b} {
		k.ok(l.Close(), "Close")
	}
	k.check()
}

func (k *kit) check() {
	k.Helper()
	if k.h.Check != nil {
		k.h.Check(k.T, k.place)
	}
}

func (k *kit) open() ledger.Ledger {
	k.Helper()
	l, err := k.h.Open(k.place)
	k.ok(err, "open")
	return l
}

// crash drops handle a as if its process had died, and opens it again.
func (k *kit) crash() {
	k.Helper()
	k.h.Crash(k.a)
	k.a = k.open()
}

func (k *kit) ok(err error, doing string) {
	k.Helper()
	if err != nil {
		k.Fatalf("%s: %v", doing, err)
	}
}

func (k *kit) is(err, want error, doing string) {
	k.Helper()
	if !errors.Is(err, want) {
		k.Fatalf("%s: got error %v, want %v", doing, err, want)
	}
}

// same checks that got and want are equal. Nil and empty are equal, because the contract
// does not distinguish them.
func (k *kit) same(got, want any, what string) {
	k.Helper()
	if reflect.DeepEqual(want, got) { // much faster for large outputs
		return
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		k.Fatalf("%s (-want +got):\n%s", what, d)
	}
}

func (k *kit) claim(l ledger.Ledger, id ledger.ID) ledger.Claim {
	k.Helper()
	c, err := l.Claim(k.ctx, id)
	k.ok(err, "Claim")
	return c
}

func (k *kit) release(c ledger.Claim) {
	k.Helper()
	k.ok(c.Release(), "Release")
}

// busy checks that err is a *BusyError for id.
func (k *kit) busy(err error, id ledger.ID, doing string) *ledger.BusyError {
	k.Helper()
	var busy *ledger.BusyError
	if !errors.As(err, &busy) {
		k.Fatalf("%s: got error %v, want a *BusyError", doing, err)
	}
	k.same(busy.ID, id, "ID of the *BusyError")
	return busy
}

// claimBusy checks that id cannot be claimed from either handle.
func (k *kit) claimBusy(id ledger.ID) {
	k.Helper()
	for _, l := range []ledger.Ledger{k.a, k.b} {
		_, err := l.Claim(k.ctx, id)
		k.busy(err, id, "Claim of a held key")
	}
}

// claimFree checks that id can be claimed from either handle.
func (k *kit) claimFree(id ledger.ID) {
	k.Helper()
	for _, l := range []ledger.Ledger{k.a, k.b} {
		k.release(k.claim(l, id))
	}
}

func (k *kit) begin(c ledger.Claim) ledger.Execution {
	k.Helper()
	return k.beginWith(c, newStart())
}

func (k *kit) beginWith(c ledger.Claim, s ledger.Start) ledger.Execution {
	k.Helper()
	x, err := c.Begin(k.ctx, s)
	k.ok(err, "Begin")
	return x
}

// lose leaves an attempt of a key, which wrote n bytes, without an end. A success follows. It
// returns the run of the lost attempt.
func (k *kit) lose(id ledger.ID, begin func(ledger.Claim) ledger.Execution, n int) (runID string) {
	k.Helper()
	c := k.claim(k.a, id)
	x := begin(c)
	write(x, pieces(n))
	k.release(c)
	k.run(k.b, id, success)
	return x.Attempt().RunID
}

func (k *kit) finish(x ledger.Execution, o ledger.Outcome) ledger.Attempt {
	k.Helper()
	a, err := x.Finish(k.ctx, o)
	k.ok(err, "Finish")
	return a
}

// run executes id once, with all steps of an ordinary run.
func (k *kit) run(l ledger.Ledger, id ledger.ID, o ledger.Outcome) ledger.Attempt {
	k.Helper()
	c := k.claim(l, id)
	a := k.finish(k.begin(c), o)
	k.release(c)
	return a
}

// interrupt leaves id recorded as running and without a holder.
func (k *kit) interrupt(l ledger.Ledger, id ledger.ID) ledger.Execution {
	k.Helper()
	c := k.claim(l, id)
	x := k.begin(c)
	k.release(c)
	return x
}

func (k *kit) get(l ledger.Ledger, id ledger.ID) ledger.Record {
	k.Helper()
	r, err := l.Get(k.ctx, id)
	k.ok(err, "Get")
	return k.withoutLease(r)
}

// withoutLease checks that a record has a lease only where it can have one, and returns it
// without the lease. The lengths of a lease differ from one call to the next.
func (k *kit) withoutLease(r ledger.Record) ledger.Record {
	k.Helper()
	state := r.Current.State
	if r.Lease != nil && (!k.h.Leases || state != ledger.Running && state != ledger.Failed) {
		k.Errorf("key %q: a lease: %+v", r.ID.Key, *r.Lease)
	}
	if r.Lease == nil && k.h.Leases && r.Phase() == ledger.PhaseRunning {
		k.Errorf("key %q: it is running without a lease", r.ID.Key)
	}
	r.Lease = nil
	return r
}

func (k *kit) attempts(l ledger.Ledger, id ledger.ID) []ledger.Attempt {
	k.Helper()
	as, err := l.Attempts(k.ctx, id)
	k.ok(err, "Attempts")
	return as
}

func (k *kit) list(l ledger.Ledger, f ledger.Filter) []ledger.Record {
	k.Helper()
	rs, err := ledger.Collect(l.List(k.ctx, f))
	k.ok(err, "List")
	for i, r := range rs {
		rs[i] = k.withoutLease(r)
	}
	return rs
}

// phase checks that both handles see id in phase want.
func (k *kit) phase(id ledger.ID, want ledger.Phase) {
	k.Helper()
	for _, l := range []ledger.Ledger{k.a, k.b} {
		if got := k.get(l, id).Phase(); got != want {
			k.Fatalf("key %q: got phase %s, want %s", id.Key, got, want)
		}
	}
}

func key(name string) ledger.ID {
	return ledger.ID{Namespace: "default", Key: name}
}

// The outcomes that the cases use.
var (
	success = ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}
	failure = ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3}
	killed  = ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonSignal, ExitCode: 137, Signal: 9}
)

var someone = ledger.Owner{Host: "build-7.example", PID: 4711, User: "zoë"}

func newStart() ledger.Start {
	return ledger.Start{
		RunID:       newRunID(),
		Fingerprint: "h1:c0ffee",
		Inputs:      []byte(`["./deploy"]`),
		Owner:       someone,
		MaxOutput:   -1,
	}
}

// newRunID returns a UUIDv7. It needs no other package. A ledger may rely on the format,
// and on the order with a resolution of milliseconds.
func newRunID() string {
	var u [16]byte
	rand.Read(u[:])
	binary.BigEndian.PutUint64(u[:8], uint64(time.Now().UnixMilli())<<16|0x7000|uint64(u[7])<<4|uint64(u[8])&15)
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
