package postgres

import (
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/mutex"
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
	mutex.Row
	id     filelock.Name
	holder wire.UUID

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
	r := mutexRow{Row: mutex.Row{Namespace: row.Text(), Name: row.Text(), Ticket: row.Int(), Place: int(row.Int()), Limit: int(row.Int())}}
	copy(r.id[:], row.Bytes())
	r.Use.ID = ledger.ID{Namespace: r.Namespace, Key: row.Text(), Window: row.Text()}
	r.holder, r.Use.RunID = row.ID(), row.Text()
	r.Use.Owner = ledger.Owner{Host: row.Text(), PID: int(row.Int()), User: row.Text()}
	r.Use.Since = row.Time()
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
	r.Use.Leftover = r.proof == byLife || r.proof == byProcess
	return err
}

func (r *mutexRow) look(here *local, alive func(runID string) bool) (proof, error) {
	if here == nil || r.site != here.site {
		// On the host of an interrupted attempt, a call that looks at the key has the claim for a
		// moment. The place is then as good as before. A claim of a third host is given only after
		// the end of the lease, which was also the end of the place.
		if (r.current || r.running) && (r.valid || r.Ticket == 0 && r.kept) {
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
		if r.Ticket > 0 {
			locks = locks[:1]
			locks[0].name, locks[0].proof = filelock.TicketName(r.Ticket), byTicket
		}
		for _, l := range locks {
			if held, err := here.locks.Held(l.name, l.kind); held || err != nil {
				return l.proof, err
			}
		}
	}
	// A claim that ends records the outcome first. So an attempt that is still recorded as
	// running has no claim any more, but it may have processes.
	if r.running && alive(r.Use.RunID) {
		return byProcess, nil
	}
	return dead, nil
}

// changed returns a function that looks at this host only, and reports whether the proof no
// longer holds. It is nil for a row of another host.
func (r *mutexRow) changed(here *local) func() (bool, error) {
	switch r.proof {
	case byTicket:
		return filelock.Unlocked(here.locks, filelock.TicketName(r.Ticket), filelock.Claim)
	case byClaim:
		return filelock.Unlocked(here.locks, r.id, filelock.Claim)
	case byLife:
		return filelock.Unlocked(here.locks, r.id, filelock.Life)
	case byProcess:
		return filelock.Ended(r.Use.RunID)
	}
	return nil
}

// judge returns a function that says whether a row counts for a claim, as prove does. The rows of
// the claim itself, which holder names, always count. A zero holder is none.
func judge(here *local, holder wire.UUID, alive func(runID string) bool) func(*mutexRow) (mutex.Standing, error) {
	return func(r *mutexRow) (mutex.Standing, error) {
		if r.holder == holder {
			r.proof = byClaim
			return mutex.Own, nil
		}
		if err := r.prove(here, alive); r.proof == dead || err != nil {
			return mutex.Dead, err
		}
		return mutex.Used, nil
	}
}
