package postgres

import (
	"github.com/anishathalye/porcupine"

	"idem/ledger"
)

// The answers of all operations on a key must have an order in which each operation takes effect
// at one instant between its call and its return. The library porcupine searches for the order.

// action is a kind of operation.
type action string

const (
	doGet     action = "get"
	doClaim   action = "claim"
	doBegin   action = "begin"
	doFinish  action = "finish"
	doMark    action = "mark"
	doForget  action = "forget"
	doRenew   action = "renew"
	doRelease action = "release"
	doCrash   action = "crash"  // of the process that has the claim
	doExpire  action = "expire" // of the lease, whoever has the claim
)

// result is how an operation has ended.
type result string

const (
	done    result = "done"
	refused result = "refused" // busy, changed, lost, not found
	perhaps result = "perhaps" // it has happened or not, or not yet
)

// operation is one operation on one key.
type operation struct {
	action
	result
	host   int
	claim  int      // of whom; 0: no claim
	run    string   // that begins or ends, or of a mark
	to     string   // the state that a finish or a mark records
	final  bool     // of finish: it gives the claim back
	seen   keyState // by get and claim, and what begin and mark rely on
	number int      // of the attempt that has begun
	alive  bool     // by get
	fence  int64
}

// keyState is the state of a key. Fence is 0 in what an operation has not seen.
type keyState struct {
	run     string
	state   string
	number  int   // of attempts
	fence   int64 // the greatest that was seen
	holder  int
	host    int  // of the last holder
	expired bool // the lease of the holder
	dead    bool // the process of the holder
}

// sees reports whether a record that was read can be s.
func (s keyState) sees(r keyState) bool {
	return s.run == r.run && s.state == r.state && s.number == r.number && r.fence >= s.fence
}

func seenOf(r ledger.Record) keyState {
	return keyState{run: r.Current.RunID, state: string(r.Current.State), number: r.Attempts, fence: r.Fence}
}

// step returns the possible states after an operation, none if it cannot have ended so.
func (s keyState) step(o operation) []keyState {
	next, ok := s.apply(o)
	switch {
	case o.result == perhaps && ok && next != s:
		return []keyState{s, next}
	case o.result == perhaps, o.result == refused && !ok:
		return []keyState{s}
	case o.result == done && ok:
		return []keyState{next}
	}
	return nil
}

// apply returns the state after an operation that is done, and whether it can be done.
func (s keyState) apply(o operation) (keyState, bool) {
	holds, open := s.holder == o.claim, s.state == string(ledger.Running)
	switch o.action {
	case doGet:
		elsewhere := s.host != o.host && s.host != 0
		wrong := elsewhere && (open || s.state == string(ledger.Failed)) && o.alive != (s.holder != 0 && !s.expired)
		return s, s.sees(o.seen) && !wrong
	case doClaim:
		free := s.holder == 0 || s.expired || s.host == o.host && s.dead
		if !free || o.result == done && !s.sees(o.seen) {
			return s, false
		}
		s.holder, s.host, s.expired, s.dead = o.claim, o.host, false, o.result == perhaps
		return s, true
	case doBegin:
		if !holds || s.run != o.seen.run || s.state != o.seen.state || o.result == done && (o.number != s.number+1 || o.fence <= s.fence) {
			return s, false
		}
		s.run, s.state, s.number, s.fence, s.expired = o.run, string(ledger.Running), s.number+1, max(s.fence, o.fence), false
		return s, true
	case doFinish:
		if s.run != o.run || !open {
			return s, false
		}
		s.state = o.to
		if o.final && holds {
			s.holder, s.expired, s.dead = 0, false, false
		}
		return s, true
	case doMark:
		if !holds || s.run != o.seen.run || s.state != o.seen.state {
			return s, false
		}
		s.run, s.state, s.expired = o.run, o.to, false
		return s, true
	case doForget:
		if !holds || s.run == "" {
			return s, false
		}
		s.run, s.state, s.number, s.expired = "", "", 0, false
		return s, true
	case doRenew:
		s.expired = s.expired && !holds
		return s, holds
	case doRelease:
		if holds {
			s.holder, s.expired, s.dead = 0, false, false
		}
		return s, true
	case doCrash:
		s.dead = s.dead || holds
		return s, true
	case doExpire:
		s.expired = s.holder != 0
		return s, true
	}
	return s, false
}

// model is the search for an order of the operations on one key.
var historyModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{keyState{}} },
	Step: func(s, in, _ any) (next []any) {
		for _, n := range s.(keyState).step(in.(operation)) {
			next = append(next, n)
		}
		return next
	},
	Equal: func(a, b any) bool { return a == b },
}).ToModel()
