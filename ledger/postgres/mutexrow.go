package postgres

import (
	"slices"
	"sync"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// A place of a mutex, or a place in its line, is a row of the table mutex. The row counts while
// the claim that stored it is alive:
//   - For a claim of this host, the kernel's locks decide, as in the embedded ledger. A waiter
//     has a lock of its own, the ticket. A claim that waits no more unlocks it.
//   - For a claim of another host, the lease in the row of its record decides. After its end,
//     the command was killed, unless the holder has chosen to keep its claim.
//
// Only a transaction that has locked the mutex stores rows, so it sees all rows that count.

// mutexRow is a row of mutex, with what the record of its claim says about it.
type mutexRow struct {
	ticket    int64 // of a waiter; 0 of a holder
	namespace string
	name      string
	place     int // of a holder; 0 of a waiter
	limit     int
	id        filelock.Name
	holder    wire.UUID
	use       ledger.MutexUse

	current bool      // the record still has this claim
	running bool      // the attempt of the row is the record's current one, has no recorded end, and no other host claimed it since
	site    wire.UUID // of the record's last claim
	valid   bool      // the record has a claim whose lease is valid
	kept    bool      // the record has a claim that only a person may end

	proof proof // why it counts
}

// proof says why a row counts.
type proof int

const (
	dead      proof = iota
	elsewhere       // the lease of another host
	byTicket        // this host's locks
	byClaim
	byLife
	byProcess // a process of this host that has closed its descriptors
)

const mutexSelect = `select m.namespace, m.name, m.ticket, m.place, m.places, m.id, m.key, m.win, m.holder, m.run_id, m.host, m.pid, m.usr, m.since,
		coalesce(r.holder = m.holder, false), coalesce(m.ticket = 0 and r.state = 'running' and r.run_id = m.run_id and r.site = m.site, false), r.site,
		coalesce(r.holder is not null and r.lease_until > pg_catalog.clock_timestamp(), false), coalesce(r.holder is not null and not r.takeover, false)
	from {s}.mutex m left join {s}.record r on r.id = m.id `

const mutexOrder = " order by m.namespace, m.name, m.ticket, m.place"

func scanMutex(row *wire.Row) mutexRow {
	r := mutexRow{namespace: row.Text(), name: row.Text(), ticket: row.Int(), place: int(row.Int()), limit: int(row.Int())}
	copy(r.id[:], row.Bytes())
	r.use.ID = ledger.ID{Namespace: r.namespace, Key: row.Text(), Window: row.Text()}
	r.holder, r.use.RunID = row.ID(), row.Text()
	r.use.Owner = ledger.Owner{Host: row.Text(), PID: int(row.Int()), User: row.Text()}
	r.use.Since = row.Time()
	r.current, r.running, r.site, r.valid, r.kept = row.Bool(), row.Bool(), row.ID(), row.Bool(), row.Bool()
	return r
}

// collect returns a function for Stmt.Each that adds rows to all.
func collect(all *[]mutexRow) func(*wire.Row) error {
	return func(row *wire.Row) error {
		*all = append(*all, scanMutex(row))
		return row.Err()
	}
}

// rowsOf reads the rows of some mutexes of a namespace: of each, the holders by place, then
// the waiters in order.
func (l *Ledger) rowsOf(namespace string, names []string, all *[]mutexRow) *wire.Stmt {
	raw := make([][]byte, len(names))
	for i, name := range names {
		raw[i] = append([]byte{}, name...)
	}
	s := l.stmt(mutexSelect+"where m.namespace = $1 and m.name = any ($2)"+mutexOrder, wire.Raw(namespace), wire.BytesArray(raw))
	*all = nil
	s.Each = collect(all)
	return s
}

func mutexNames(mutexes []ledger.Mutex) []string {
	names := make([]string, len(mutexes))
	for i, m := range mutexes {
		names[i] = m.Name
	}
	return names
}

// prove finds out whether a row counts, and sets Leftover. For a host that has never used the
// ledger, here is nil. alive reports whether an attempt has processes on this host.
func (r *mutexRow) prove(here *local, alive func(runID string) bool) (err error) {
	r.proof, err = r.look(here, alive)
	r.use.Leftover = r.proof == byLife || r.proof == byProcess
	return err
}

func (r *mutexRow) look(here *local, alive func(runID string) bool) (proof, error) {
	if here == nil || r.site != here.site {
		// On the host of an interrupted attempt, a call that looks at the key has the claim for a
		// moment. The place is then as good as before. A claim of a third host is given only after
		// the end of the lease, which was also the end of the place.
		if (r.current || r.running) && (r.valid || r.ticket == 0 && r.kept) {
			return elsewhere, nil
		}
		return dead, nil
	}
	if r.current {
		locks := []struct {
			name filelock.Name
			kind filelock.Kind
			proof
		}{{r.id, filelock.Claim, byClaim}, {r.id, filelock.Life, byLife}}
		if r.ticket > 0 {
			locks = locks[:1]
			locks[0].name, locks[0].proof = filelock.TicketName(r.ticket), byTicket
		}
		for _, l := range locks {
			if held, err := here.locks.Held(l.name, l.kind); held || err != nil {
				return l.proof, err
			}
		}
	}
	// A claim that ends records the outcome first. So an attempt that is still recorded as
	// running has no claim any more, but it may have processes.
	if r.running && alive(r.use.RunID) {
		return byProcess, nil
	}
	return dead, nil
}

// changed returns a function that looks at this host only, and reports whether the proof no
// longer holds. It is nil for a row of another host.
func (r *mutexRow) changed(here *local) func() (bool, error) {
	unlocked := func(n filelock.Name, k filelock.Kind) func() (bool, error) {
		return func() (bool, error) {
			held, err := here.locks.Held(n, k)
			return !held, err
		}
	}
	switch r.proof {
	case byTicket:
		return unlocked(filelock.TicketName(r.ticket), filelock.Claim)
	case byClaim:
		return unlocked(r.id, filelock.Claim)
	case byLife:
		return unlocked(r.id, filelock.Life)
	case byProcess:
		var found filelock.Leftovers
		return func() (bool, error) { return !found.Alive() && !found.Find(r.use.RunID), nil }
	}
	return nil
}

// searchProcesses returns a function that reports whether an attempt has processes on this host. It
// searches twice, as filelock.LeftoversOf does, but only once for all attempts.
func searchProcesses() func(runID string) bool {
	search := sync.OnceValue(func() [2]map[string][]ledger.Process {
		return [2]map[string][]ledger.Process{filelock.AllLeftovers(), filelock.AllLeftovers()}
	})
	return func(runID string) bool { found := search(); return len(found[0][runID])+len(found[1][runID]) > 0 }
}

// mutexView is a mutex at one moment, as a claim sees it.
type mutexView struct {
	namespace, name string
	own             *mutexRow  // the place of the claim itself
	holders         []mutexRow // by place, without own
	waiters         []mutexRow // in order, with the claim itself
	waits           bool       // the claim has a row in line
	dead            []mutexRow // the rows that do not count
}

// view returns the mutex with the given name. rows are those of any mutexes of the namespace.
// holder is the claim that asks, or zero. Its own rows count.
func view(here *local, namespace, name string, rows []mutexRow, holder wire.UUID, alive func(string) bool) (mutexView, error) {
	v := mutexView{namespace: namespace, name: name}
	for _, r := range rows {
		if r.name != name || r.namespace != namespace {
			continue
		}
		own := r.holder == holder
		if own {
			r.proof = byClaim
		} else if err := r.prove(here, alive); err != nil {
			return v, err
		}
		switch {
		case own && r.ticket == 0:
			v.own = &r
		case r.proof == dead:
			v.dead = append(v.dead, r)
		case r.ticket > 0:
			v.waiters, v.waits = append(v.waiters, r), v.waits || own
		default:
			v.holders = append(v.holders, r)
		}
	}
	return v, nil
}

func (v mutexView) state() ledger.MutexState {
	s := ledger.MutexState{Namespace: v.namespace, Name: v.name}
	for _, r := range v.holders {
		s.Limit = r.limit
		s.Holders = append(s.Holders, r.use)
	}
	for _, r := range v.waiters {
		s.Waiters = append(s.Waiters, r.use)
	}
	return s
}

// before returns the waiter just before a ticket. Without a ticket, which is 0, it is the last
// one in line.
func (v mutexView) before(ticket int64) *mutexRow {
	for i := len(v.waiters) - 1; i >= 0; i-- {
		if r := &v.waiters[i]; ticket == 0 || r.ticket < ticket {
			return r
		}
	}
	return nil
}

// place returns the place that the claim can take with the given limit, or 0.
func (v mutexView) place(limit int) int {
	if len(v.holders) >= limit || slices.ContainsFunc(v.holders, func(r mutexRow) bool { return r.limit != limit }) {
		return 0
	}
	place := 1
	for _, r := range v.holders {
		if r.place == place {
			place++
		}
	}
	return place
}
