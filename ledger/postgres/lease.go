package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// margin is the time before the end of a lease L at which the command must be dead. It covers a
// difference of 5 % between the rates of two clocks, and a busy host.
func margin(lease time.Duration) time.Duration {
	if lease < 8*time.Second { // tests only
		return lease / 4
	}
	return max(2*time.Second, lease/10)
}

// renewAfter is the time between two renewals, about a ninth of the lease. A renewal that
// fails is tried again sooner.
func renewAfter(lease time.Duration) time.Duration {
	return time.Duration(float64(lease/9) * (0.9 + 0.2*rand.Float64()))
}

func retryAfter(lease time.Duration) time.Duration { return min(2*time.Second, lease/20) }

// held is a claim whose lease is renewed by this process. The keeper also has claims whose
// leases another process renews.
type held struct {
	id     []byte // the name of the record
	holder wire.UUID
	length time.Duration
	keep   bool // the end of the lease does not end the command

	// since is the time of sinceBoot just before the last renewal that the server has
	// acknowledged was sent. The server counts from a later moment.
	since time.Duration
	lost  chan struct{}
	over  bool // lost is closed

	run    string // the attempt whose command may have processes; empty: none
	exited bool   // the command has ended by itself, so no process of it counts
	fenced bool   // another call has taken the key over
	ended  bool   // no process is left to be killed
	kept   bool   // the keeper knows the claim

	family map[int]uint64 // the processes that leases.family has found, and when each began

	follower // of the keeper
}

// leases renews the leases of all claims of a handle, in one statement. It ends those that can
// no longer be kept.
type leases struct {
	ledger  *Ledger
	session *wire.Session
	keeping *keeping // nil: there is no keeper
	keeper  *keeper  // nil except in the keeper itself

	mu       sync.Mutex
	all      map[*held]struct{}
	running  bool
	renewing bool
	killing  bool
	warned   bool          // of the ledger's silence
	next     time.Duration // when the next renewal is due, in the time of sinceBoot
}

func newLeases(l *Ledger, s *wire.Session) *leases {
	return &leases{ledger: l, session: s, all: map[*held]struct{}{}}
}

func (s *leases) close() {
	s.session.Close()
	s.keeping.close()
}

// add begins to renew a lease. since is as in held.
func (s *leases) add(h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[h] = struct{}{}
	if !s.running {
		s.running = true
		go s.run()
	}
}

// remove ends the renewals of a lease.
func (s *leases) remove(h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, h)
}

// renewed records that the server has acknowledged a statement that renewed the lease. since is
// the time just before it was sent.
func (s *leases) renewed(h *held, since time.Duration) {
	s.mu.Lock()
	h.since = max(h.since, since)
	s.mu.Unlock()
	s.keeping.renewed([]*held{h}, since)
}

// longestTick bounds the time between two looks at the clock.
const longestTick = time.Second

// run looks at the clock until no claim is left. It renews in another goroutine, so that a server
// that does not answer cannot delay the end of a claim.
func (s *leases) run() {
	var clock alarm
	defer clock.close()
	for {
		s.mu.Lock()
		if len(s.all) == 0 {
			s.running, s.next, s.warned = false, 0, false
			s.mu.Unlock()
			return
		}
		now, shortest := sinceBoot(), s.shortest()
		s.endOverdue(now)
		if s.next == 0 {
			s.next = now + renewAfter(shortest)
		}
		if now >= s.next && !s.renewing {
			if batch := s.batch(); len(batch) > 0 {
				s.renewing = true
				go s.renewNow(batch, shortest)
			}
		}
		s.mu.Unlock()
		clock.rest(min(longestTick, shortest/100))
	}
}

func (s *leases) renewNow(batch []*held, shortest time.Duration) {
	pause := retryAfter(shortest)
	if s.renew(batch, shortest) {
		pause = renewAfter(shortest)
		if pause > idleTime { // many waiting or running commands then have few connections
			s.session.Close()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renewing, s.next = false, sinceBoot()+pause
}

func (s *leases) shortest() time.Duration {
	shortest := s.ledger.opt.Lease
	for h := range s.all {
		shortest = min(shortest, h.length)
	}
	return shortest
}

func (s *leases) batch() []*held {
	var batch []*held
	for h := range s.all {
		if !h.watched {
			batch = append(batch, h)
		}
	}
	slices.SortFunc(batch, func(a, b *held) int { return slices.Compare(a.id, b.id) }) // the order in which other statements lock rows
	return batch
}

// renew renews leases. It reports whether all are renewed. A claim that the server does not know any
// more is lost at once.
func (s *leases) renew(batch []*held, shortest time.Duration) bool {
	known := map[string]bool{}     // whether the row is renewed
	running := map[string]string{} // attempts that have no recorded end
	stmt := s.ledger.stmt(renewSQL)
	for _, h := range batch {
		stmt.Many = append(stmt.Many, []wire.Arg{wire.Bytes(h.id), wire.ID(h.holder)})
	}
	stmt.Each = func(row *wire.Row) error {
		id := row.Text()
		known[id], running[id] = row.Bool(), row.Text()
		return nil
	}
	since := sinceBoot()
	ctx, cancel := context.WithTimeout(context.Background(), min(tryTimeout, shortest/4))
	defer cancel()
	if err := s.session.Do(ctx, wire.Durable, stmt); err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			s.session.Close()
		}
		return false
	}
	all := true
	var renewed []*held
	s.mu.Lock()
	s.warned = false
	for _, h := range batch {
		_, ours := s.all[h]
		done, there := known[string(h.id)]
		switch {
		case !ours:
		case done:
			h.since = max(h.since, since)
			h.seen(running[string(h.id)])
			renewed = append(renewed, h)
		case there: // a transaction has locked the row
			all = false
		case s.keeper != nil:
			h.missing = true
		default:
			s.fence(h)
		}
	}
	s.mu.Unlock()
	if len(renewed) > 0 {
		s.keeping.renewed(renewed, since)
	}
	return all
}

// name returns the name of the locks of the record.
func (h *held) name() filelock.Name { return filelock.Name(h.id) }
