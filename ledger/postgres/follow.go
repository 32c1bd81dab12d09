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
	watched  bool // idem lives and renews the lease
	followed bool // idem has ended, or has left the claim to the keeper
	missing  bool // the row has another holder
	recorded bool // the outcome is recorded, so that only the life lock counts
	left     filelock.Leftovers
	blind    time.Duration // since when the locks cannot be read; 0: they can
	retry    time.Duration // when the claim may be given back again, in the time of sinceBoot
}

// The times between two looks at the processes of commands.
const (
	followPause = 500 * time.Millisecond
	// A look takes at most 1/followShare of the time, unless the pause would be too long.
	followShare        = 200
	longestFollowPause = 5 * time.Second
	watchPause         = time.Minute // only a note changes anything, and leases.run looks at the clock
)

// giveBackTimeout bounds the time for which the keeper has the lock of a key that it gives back.
const giveBackTimeout = 2 * time.Second

// seen takes note of the attempt without a recorded end. The caller holds the lock of the leases.
func (h *held) seen(run string) {
	h.recorded = h.followed && run != h.run
}

// adopt makes the keeper renew a claim and follow its command. The caller holds k.mu.
func (k *keeper) adopt(h *held) {
	s := k.ledger.leases
	s.mu.Lock()
	defer s.mu.Unlock()
	h.watched, h.followed = false, true
	s.next = sinceBoot() // renew now: the last renewal can be old
}

// follow gives claims back whose commands have ended. It returns when idem has ended and no claim
// is left.
func (k *keeper) follow() {
	for {
		k.mu.Lock()
		left, pause := len(k.claims), watchPause
		var all []*held
		for _, h := range k.claims {
			if k.isFollowed(h) {
				all, pause = append(all, h), followPause
			}
		}
		k.mu.Unlock()
		if left == 0 && k.gone.Load() {
			return
		}
		begun := time.Now()
		for _, h := range all {
			if k.over(h) {
				k.mu.Lock()
				k.unsent[h.run] = true
				k.drop(h)
				k.mu.Unlock()
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
	missing, fenced, run, counts := h.missing, h.fenced, h.run, h.run != "" && !h.recorded
	now := sinceBoot()
	due, late := now >= h.retry, now >= h.since+h.length
	s.mu.Unlock()
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
	locks := k.here.locks
	held, err := locks.Held(h.name(), filelock.Life)
	if err == nil {
		h.blind = 0
	} else if h.blind == 0 {
		h.blind = now
	}
	if held || !due || counts && (h.left.Alive() || h.left.Find(run)) {
		return false
	}
	if err != nil {
		return now >= h.blind+h.length // without a renewal, the lease then ends by itself
	}
	if missing {
		return true
	}
	// Under the lock of the key no other call of this host begins. Its holder may be idem itself.
	lock, err := locks.Take(h.name(), filelock.Claim)
	if err != nil {
		return false
	}
	defer func() { _ = lock.Release() }()
	if held, err := lock.OtherHeld(filelock.Life); held || err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), giveBackTimeout)
	defer cancel()
	err = k.givenBack(ctx, h)
	if err == nil || errors.Is(err, errForgotten) { // a person decides; the lease ends by itself
		return true
	}
	s.mu.Lock()
	h.retry = sinceBoot() + time.Second
	s.mu.Unlock()
	// After its lease, a claim needs no giving back, unless its key stays held.
	return late && !h.keep || now >= h.since+deliverFor
}

// givenBack gives a claim back. An outcome that idem could not send is recorded first. Otherwise
// another host could run the key again.
func (k *keeper) givenBack(ctx context.Context, h *held) error {
	if err := k.ledger.sendKept(ctx, k.here, h.name()); err != nil {
		return err
	}
	give := k.ledger.many(giveBackSQL, wire.Bytes(h.id), wire.ID(h.holder))
	leave := k.ledger.stmt("delete from {s}.mutex where id = $1 and holder = $2", wire.Bytes(h.id), wire.ID(h.holder))
	return k.ledger.session.Do(ctx, wire.Lazy, give, leave)
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
