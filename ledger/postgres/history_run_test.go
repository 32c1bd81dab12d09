package postgres

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"

	"idem/internal/testkit"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

var histories = flag.Int("histories", 4, "the number of random histories of TestHistoriesHaveAnOrder")

const (
	historyHosts   = 3
	historyWorkers = 2 // on each host
	historyKeys    = 2 // of each worker; the same of all hosts
	decideWithin   = time.Minute
)

// historySteps is the number of operations of each worker. With the flag, a history has about a
// thousand.
func historySteps() int {
	if *histories > 4 {
		return 170
	}
	return 40
}

// TestHistoriesHaveAnOrder makes random operations on several hosts at the same time, while leases
// end, processes die and the network fails.
func TestHistoriesHaveAnOrder(t *testing.T) {
	testkit.Slow(t, "histories with a network that fails")
	for n := range *histories {
		t.Run(fmt.Sprint(n), func(t *testing.T) { newHistory(t, n%2 == 1).run() })
	}
}

// history is what several hosts do at the same time.
type history struct {
	*testing.T
	room   *room
	faulty bool
	begun  time.Time

	mu     sync.Mutex
	ops    map[ledger.ID][]porcupine.Operation
	claims int
}

func newHistory(t *testing.T, faulty bool) *history {
	return &history{T: t, room: newRoom(t), faulty: faulty, begun: time.Now(), ops: map[ledger.ID][]porcupine.Operation{}}
}

func (h *history) run() {
	var workers, faults sync.WaitGroup
	stop := make(chan struct{})
	for host := range historyHosts {
		net := &network{Proxy: pgtest.Proxy(h, h.room.server.Addr())}
		for n := range historyWorkers {
			w := &worker{history: h, net: net, host: host + 1, n: n, has: map[ledger.ID]*holding{}}
			w.open()
			workers.Go(w.run)
		}
		if h.faulty {
			faults.Go(func() { net.fail(stop) })
		}
	}
	faults.Go(func() { h.expire(stop) })
	workers.Wait()
	close(stop)
	faults.Wait()
	count := map[string]int{}
	for id, ops := range h.ops {
		for _, o := range ops {
			o := o.Input.(operation)
			count[string(o.action)+" "+string(o.result)]++
		}
		switch porcupine.CheckOperationsTimeout(historyModel, ops, decideWithin) {
		case porcupine.Illegal:
			h.Errorf("the operations on %q have no order:\n%s", id.Key, text(ops))
		case porcupine.Unknown:
			h.Errorf("no order of the %d operations on %q was found or excluded in %v", len(ops), id.Key, decideWithin)
		}
	}
	h.Log(count)
}

func text(ops []porcupine.Operation) (s string) {
	for _, o := range ops {
		s += fmt.Sprintf("%d..%d %+v\n", o.Call, o.Return, o.Input)
	}
	return s
}

func (h *history) now() int64 { return int64(time.Since(h.begun)) }

// add adds an operation that was called at the given time. With the result perhaps, it may also
// happen later.
func (h *history) add(id ledger.ID, o operation, called int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	returned := h.now()
	if o.result == perhaps {
		returned = math.MaxInt64
	}
	h.ops[id] = append(h.ops[id], porcupine.Operation{ClientId: o.host, Input: o, Call: called, Return: returned})
}

// expire ends leases until stop is closed.
func (h *history) expire(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(rand.N(50 * time.Millisecond)):
		}
		id := keyOf(rand.IntN(historyWorkers))
		called := h.now()
		h.room.server.Exec(h, fmt.Sprintf("update %s.record set lease_until = now() - interval '1 s' where key = '%s'", h.room.schema, id.Key))
		h.add(id, operation{action: doExpire, result: done}, called)
	}
}

func keyOf(worker int) ledger.ID {
	return ledger.ID{Namespace: "n", Key: fmt.Sprintf("%d-%d", worker, rand.IntN(historyKeys))}
}

// network is that of one host.
type network struct {
	*proxy.Proxy
	mu     sync.Mutex
	faults int // that have begun or ended
	broken bool
}

// fail makes faults until stop is closed. The last one is healed.
func (n *network) fail(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(rand.N(400 * time.Millisecond)):
		}
		n.set(true)
		if rand.IntN(3) > 0 {
			n.Cut([]proxy.Direction{proxy.ToServer, proxy.ToClient, proxy.Both}[rand.IntN(3)])
			time.Sleep(rand.N(60 * time.Millisecond))
		}
		n.Reset()
		n.Heal()
		n.set(false)
	}
}

func (n *network) set(broken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults++
	n.broken = broken
}

// watch returns a function that reports whether there was a fault since.
func (n *network) watch() func() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, broken := n.faults, n.broken
	return func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return broken || n.faults != before
	}
}

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
		w.get(id) // others have time to take the key over
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
	if o.result == perhaps && (!w.faulty || !errors.Is(err, ledger.ErrUnreachable)) {
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
		_, _, err := h.forget(context.Background(), func(*record) error { return nil })
		return err
	})
	h.changed()
	h.known = nil
}

var errUnknownClaim = errors.New("the server does not know the claim")

func (w *worker) renew(id ledger.ID, h *holding) {
	o := &operation{action: doRenew, claim: h.number}
	w.do(id, o, []error{errUnknownClaim}, func() error {
		if !w.ledger.leases.renew([]*held{h.held}, 8*time.Second) {
			return ledger.ErrUnreachable
		}
		select {
		case <-h.Lost():
			return errUnknownClaim
		default:
			return nil
		}
	})
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
