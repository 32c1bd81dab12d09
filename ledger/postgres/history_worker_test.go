package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/wire"
)

// worker is a process of a host. It has keys that no other worker of the host uses.
type worker struct {
	*history
	net     *network
	host, n int
	ledger  *Ledger
	locks   *mortal
	has     map[ledger.ID]*holding
}

// holding is a claim.
type holding struct {
	*claim
	number int
	known  *keyState // the record; nil: not known
	now    ledger.Execution
	run    string // of now
}

func (w *worker) open() {
	w.locks = &mortal{}
	place := pgtest.URL(w.net.Addr(), pgtest.CI, pgtest.Database, w.room.schema, "sslmode=disable")
	l, err := Open(place, Options{
		LocalBase: filepath.Join(w.room.base, fmt.Sprint("host", w.host, "-", w.n)), Lease: time.Hour, ConnectTimeout: 2 * time.Second, FinishTimeout: 2 * time.Second,
		space: func(dir *localdir.Dir) filelock.Space { w.locks.Space = filelock.New(dir); return w.locks },
	})
	if err != nil {
		panic(err)
	}
	w.ledger = l
}

func (w *worker) run() {
	for range historySteps() {
		w.step(keyOf(w.n))
	}
	for id, h := range w.has {
		w.release(id, h)
	}
	_ = w.ledger.Close()
}

func (w *worker) step(id ledger.ID) {
	h := w.has[id]
	if h == nil {
		if rand.IntN(4) == 0 {
			w.get(id)
			return
		}
		w.claimKey(id)
		return
	}
	switch n := rand.IntN(20); {
	case n < 2:
		w.get(id)
	case n < 4:
		w.renew(id, h)
	case n < 6:
		w.release(id, h)
	case n == 6:
		w.crash()
	case h.known == nil:
		w.read(id, h)
	case h.now != nil && n < 14:
		w.get(id) // so another host has time for a takeover
	case h.now != nil:
		w.finish(id, h)
	case n < 9:
		w.mark(id, h)
	case n < 11:
		w.forget(id, h)
	default:
		w.begin(id, h)
	}
}

// do makes an operation, whose error is as it says. It adds the operation, and returns whether it
// is done. After a fault, an earlier try can have happened too, or can happen later.
func (w *worker) do(id ledger.ID, o *operation, refusals []error, f func() error) bool {
	called, faulty := w.now(), w.net.watch()
	err := f()
	o.host, o.result = w.host, perhaps
	if err == nil {
		o.result = done
	}
	for _, e := range refusals {
		if errors.Is(err, e) {
			o.result = refused
		}
	}
	if errors.As(err, new(*ledger.BusyError)) {
		o.result = refused
	}
	if o.result == perhaps && !errors.Is(err, ledger.ErrUnreachable) { // without a fault, a busy machine can be too slow
		w.Errorf("%s of %q: %v", o.action, id.Key, err)
	}
	if repeated := o.action == doClaim || o.action == doRenew; o.result != perhaps && faulty() && (o.result == refused || repeated) {
		ghost := *o
		ghost.result = perhaps
		w.add(id, ghost, called)
	}
	w.add(id, *o, called)
	return o.result == done
}

func (w *worker) get(id ledger.ID) {
	called := w.now()
	rec, err := w.ledger.Get(context.Background(), id)
	if err != nil {
		return
	}
	w.add(id, operation{action: doGet, result: done, host: w.host, seen: seenOf(rec), alive: rec.Alive}, called)
}

func (w *worker) claimKey(id ledger.ID) {
	w.mu.Lock()
	w.claims++
	number := w.claims
	w.mu.Unlock()
	h := &holding{number: number}
	o := &operation{action: doClaim, claim: number}
	if w.do(id, o, nil, func() (err error) {
		h.claim, err = w.ledger.claim(context.Background(), id)
		if err == nil {
			rec, _ := h.Record(context.Background()) // without a round trip
			o.seen = seenOf(rec)
			h.known = &o.seen
		}
		return err
	}) {
		w.has[id] = h
	}
}

// read reads the record under the claim.
func (w *worker) read(id ledger.ID, h *holding) {
	called := w.now()
	h.changed()
	rec, err := h.Record(context.Background())
	if err != nil {
		return
	}
	seen := seenOf(rec)
	h.known = &seen
	alive := rec.Alive
	if rec.Current.State == ledger.Running || rec.Current.State == ledger.Failed {
		return // Record does not set Alive
	}
	w.add(id, operation{action: doGet, result: done, host: w.host, seen: seen, alive: alive}, called)
}

func (w *worker) begin(id ledger.ID, h *holding) {
	o := &operation{action: doBegin, claim: h.number, run: uuid.NewString(), seen: *h.known}
	var x ledger.Execution
	ok := w.do(id, o, []error{ledger.ErrChanged}, func() (err error) {
		x, err = h.Begin(context.Background(), ledger.Start{RunID: o.run})
		if err == nil {
			o.number, o.fence = x.Attempt().Number, x.Fence()
		}
		return err
	})
	h.known = nil
	if ok {
		h.now, h.run = x, o.run
		h.known = &keyState{run: o.run, state: string(ledger.Running)}
	}
}

func (w *worker) finish(id ledger.ID, h *holding) {
	out := ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit, Final: rand.IntN(2) == 0}
	if rand.IntN(3) == 0 {
		out.State, out.ExitCode = ledger.Failed, 3
	}
	if rand.IntN(20) == 0 {
		w.crash()
		return
	}
	o := &operation{action: doFinish, claim: h.number, run: h.run, to: string(out.State), final: out.Final}
	w.do(id, o, []error{ledger.ErrLost}, func() error { _, err := h.now.Finish(context.Background(), out); return err })
	h.now, h.known = nil, nil
	if out.Final {
		w.release(id, h)
	}
}

func (w *worker) mark(id ledger.ID, h *holding) {
	m := ledger.Mark{RunID: uuid.NewString(), State: []ledger.State{ledger.Succeeded, ledger.Failed, ledger.None}[rand.IntN(3)], Reason: ledger.ReasonMarked}
	rec, err := h.Record(context.Background())
	if err != nil {
		return
	}
	m.Expect = rec
	o := &operation{action: doMark, claim: h.number, run: m.RunID, to: string(m.State), seen: seenOf(rec)}
	w.do(id, o, []error{ledger.ErrChanged}, func() error { _, err := h.Mark(context.Background(), m); return err })
	h.known = nil
}

func (w *worker) forget(id ledger.ID, h *holding) {
	o := &operation{action: doForget, claim: h.number}
	w.do(id, o, []error{ledger.ErrChanged, ledger.ErrNotFound}, func() error {
		_, _, err := h.forget(context.Background(), func(*wire.Tx, *record) error { return nil })
		return err
	})
	h.changed()
	h.known = nil
}

var errUnknownClaim = errors.New("the server does not know the claim")

func (w *worker) renew(id ledger.ID, h *holding) {
	o := &operation{action: doRenew, claim: h.number}
	w.do(id, o, []error{errUnknownClaim}, func() error {
		before := w.since(h)
		if !w.ledger.leases.renew([]*held{h.held}, 8*time.Second) {
			return ledger.ErrUnreachable
		}
		if w.since(h) == before {
			return errUnknownClaim
		}
		return nil
	})
}

// since is the time of the last renewal that the server has acknowledged.
func (w *worker) since(h *holding) time.Duration {
	w.ledger.leases.mu.Lock()
	defer w.ledger.leases.mu.Unlock()
	return h.held.since
}

// release gives the claim back. If the server does not get that, the row stays, and its process
// counts as dead.
func (w *worker) release(id ledger.ID, h *holding) {
	called, faulty := w.now(), w.net.watch()
	if err := h.Release(); err != nil {
		w.Errorf("Release of %q: %v", id.Key, err)
	}
	o := operation{action: doRelease, result: done, host: w.host, claim: h.number}
	if faulty() {
		o.result = perhaps
		w.add(id, operation{action: doCrash, result: done, host: w.host, claim: h.number}, called)
	}
	w.add(id, o, called)
	delete(w.has, id)
}

// crash ends the process. Another one begins in its place.
func (w *worker) crash() {
	called := w.now()
	w.ledger.leases.abandon()
	w.locks.die()
	for id, h := range w.has {
		w.add(id, operation{action: doCrash, result: done, host: w.host, claim: h.number}, called)
	}
	clear(w.has)
	w.open()
}
