package postgres

import (
	"context"
	"errors"
	"time"

	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// follower is what the keeper knows of a claim.
type follower struct {
	watched  bool   // idem lives and renews the lease
	overdue  bool   // its command should be dead, at the last look
	unread   bool   // it was not overdue at the look before, so notes may be unread
	followed bool   // idem has ended, or has left the claim to the keeper
	missing  bool   // the row has another holder
	recorded bool   // the outcome of the attempt that the keeper knows is recorded
	open     string // the attempt in the row, if its outcome is not recorded
	left     filelock.Leftovers
	blind    time.Duration // since when the locks cannot be read; 0: they can
	retry    time.Duration // when the claim may be given back again, in the time of sinceBoot
	failing  time.Duration // since when the claim cannot be given back; 0: it can
}

// The times between two looks at the processes of commands.
const (
	followPause = 500 * time.Millisecond
	// A look takes at most 1/followShare of the time, unless the pause would be too long.
	followShare        = 200
	longestFollowPause = 5 * time.Second
	watchPause         = time.Minute // only a note changes anything, and leases.run looks at the clock
)

// giveBackTimeout bounds the time in which the keeper gives one claim back.
const giveBackTimeout = 2 * time.Second

// seen takes note of the attempt without a recorded end. The caller holds the lock of the leases.
func (h *held) seen(run string) {
	if h.followed {
		h.recorded, h.open = run != h.run, run
	}
}

// attempt returns the attempt whose processes count, or "". It is another one than the keeper knows
// if idem has given the keeper up and has gone on with another. The caller holds the lock of the
// leases.
func (h *held) attempt() string {
	if h.recorded {
		return h.open
	}
	return h.run
}

// adopt makes the keeper renew a claim and follow its command. The caller holds k.mu.
func (k *keeper) adopt(h *held) {
	s := k.ledger.leases
	s.mu.Lock()
	defer s.mu.Unlock()
	h.watched, h.followed = false, true
	s.next = sinceBoot() // renew now: the last renewal can be old
}

// follow sends kept outcomes, and gives claims back whose commands have ended. It returns when idem
// has ended, no claim is left, and no outcome is to be sent.
func (k *keeper) follow() {
	for {
		gone := k.gone.Load() // before the claims: it is set after the last note
		k.mu.Lock()
		left, pause := len(k.claims), watchPause
		var all []*held
		for _, h := range k.claims {
			if k.isFollowed(h) {
				all, pause = append(all, h), followPause
			}
		}
		k.mu.Unlock()
		sending := k.deliver(all)
		if left == 0 && !sending && gone {
			return
		}
		if sending {
			pause = min(pause, keptPause)
		}
		begun := time.Now()
		for _, h := range all {
			if k.over(h) {
				k.deliverer.add(h.run)
				k.mu.Lock()
				k.drop(h)
				k.mu.Unlock()
				k.rouse() // its outcome may be kept
			}
		}
		if len(all) > 0 { // a search of all processes can take long
			pause = min(max(pause, followShare*time.Since(begun)), longestFollowPause)
		}
		select {
		case <-k.wake:
		case <-time.After(pause):
		}
	}
}

func (k *keeper) isFollowed(h *held) bool {
	s := k.ledger.leases
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.followed
}

// over reports whether a claim is no longer the keeper's business.
func (k *keeper) over(h *held) bool {
	s := k.ledger.leases
	s.mu.Lock()
	missing, fenced, exited, run := h.missing, h.fenced, h.exited, h.attempt()
	now := sinceBoot()
	due, late := now >= h.retry, now >= h.since+h.length
	s.mu.Unlock()
	if missing && exited { // the commit of the outcome has given the claim back, or another call has taken it
		return true
	}
	if missing && !fenced {
		ours, err := k.takenHere(h)
		if err != nil {
			return false
		}
		if ours {
			return true
		}
		s.mu.Lock()
		s.fence(h)
		s.mu.Unlock()
	}
	held, err := k.inUse(h.name())
	if err == nil {
		h.blind = 0
	} else if h.blind == 0 {
		h.blind = now
	}
	if held || !due || run != "" && !exited && (h.left.Alive() || h.left.Find(run)) {
		return false
	}
	if err != nil {
		return now >= h.blind+h.length // without a renewal, the lease then ends by itself
	}
	if missing {
		return true
	}
	givenUp, err := k.delivered(h.name())
	if givenUp { // a person decides; the lease ends by itself
		return true
	}
	if err == nil {
		err = k.givenBack(h, run)
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, errBegun):
	case h.failing == 0:
		h.failing = now
	}
	s.mu.Lock()
	h.retry = sinceBoot() + time.Second
	s.mu.Unlock()
	// After its lease, a claim needs no giving back, unless its key stays held.
	return late && !h.keep || h.failing > 0 && now >= h.failing+deliverFor
}

// inUse reports whether a call or a process of a command has a lock of a record. The keeper takes
// no lock: a reader would take it for a running call. It needs none. An idem that has given its
// lock up never uses the claim again, and each later call has another holder in the row. The lock
// of the claim comes first: the claim's last command began before idem gave it up.
func (k *keeper) inUse(name filelock.Name) (bool, error) {
	return filelock.InUse(k.here.locks, name)
}

// errBegun: an attempt has begun whose processes were not looked for. The next renewal tells which.
var errBegun = errors.New("another attempt has begun")

// givenBack gives a claim back, unless another attempt than run has begun: only the processes of run
// were looked for.
func (k *keeper) givenBack(h *held, run string) error {
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTimeout)
	defer cancel()
	id, holder := wire.Bytes(h.id), wire.ID(h.holder)
	give := k.ledger.stmt("update {s}.record r set holder = null where r.id = $1 and r.holder = $2 and (r.state <> 'running' or r.run_id = $3)", id, holder, wire.Text(run))
	left := k.ledger.stmt("select r.id from {s}.record r where r.id = $1 and r.holder = $2", id, holder)
	leave := k.ledger.stmt("delete from {s}.mutex m where m.id = $1 and m.holder = $2 and not exists (select 1 from {s}.record r where r.id = $1 and r.holder = $2)", id, holder)
	if err := k.ledger.session.Do(ctx, wire.Lazy, give, left, leave); err != nil {
		return err
	}
	if left.Rows > 0 {
		return errBegun
	}
	return nil
}

// takenHere reports whether the row of a claim has a holder of this host, or none. Such a holder
// has seen that no process of the command is left.
func (k *keeper) takenHere(h *held) (bool, error) {
	var site wire.UUID
	stmt := k.ledger.stmt("select r.site from {s}.record r where r.id = $1", wire.Bytes(h.id))
	stmt.Each = func(row *wire.Row) error { site = row.ID(); return nil }
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTimeout)
	defer cancel()
	err := k.ledger.session.Do(ctx, wire.Read, stmt)
	return site == k.here.site, err
}
