package postgres

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"idem/internal/testkit"
	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// -histories 200 and -rounds 20 are the full forms of TestHistoriesHaveAnOrder and TestOneWinnerOfEachRace.
var histories = flag.Int("histories", 4, "the number of random histories; with more than 4, they are longer")

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
	faults int // counts begins and ends
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
