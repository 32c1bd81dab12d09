package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"idem/internal/failpoint"
	"idem/internal/poll"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// Outcomes that are kept on this host are sent by its keeper, by the next call and by Sync. An
// outcome is recorded only while its attempt is the current one and is recorded as running, so it
// does no harm to send it late or twice.

// Sync sends the outcomes that are kept on this host for the ledger at a URL. It returns how many
// were sent, and how many are left.
func Sync(ctx context.Context, place string, o ConnectOptions) (sent, left int, err error) {
	l, err := o.open(place)
	if err != nil {
		return 0, 0, err
	}
	defer l.Close()
	if err := l.openKnown(ctx); err != nil {
		return 0, 0, err
	}
	sent, left, err = l.deliverAll(ctx, l.deliverWaiting)
	return sent, left, l.explain(err)
}

// openKnown opens the local directory of the ledger, if there is one, also if this host has used
// the ledger with other URLs only.
func (l *Ledger) openKnown(ctx context.Context) error {
	here, err := l.openLocal(ctx, false)
	if here != nil || err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := l.readMeta(ctx)
	if err == nil {
		l.local, err = l.openSite(m.ledger, false)
	}
	return l.explain(err)
}

// deliver sends the outcomes that are kept on this host. Those that another process sends are
// left.
func (l *Ledger) deliver(ctx context.Context) (sent, left int, err error) {
	return l.deliverAll(ctx, l.deliverOne)
}

// deliverAll sends the outcomes that are kept on this host, the oldest first. It returns how many
// were sent, and how many are left. The first error that concerns all ends it.
func (l *Ledger) deliverAll(ctx context.Context, send func(context.Context, *local, string) error) (sent, left int, err error) {
	here, err := l.openLocal(ctx, false)
	if here == nil || err != nil {
		return 0, 0, err
	}
	names, err := here.pending()
	here.clean()
	for i, name := range names {
		fault := send(ctx, here, name)
		if fault == nil {
			sent++
			continue
		}
		left++
		if errors.Is(fault, errLocked) {
			continue
		}
		err = errors.Join(err, fault)
		if ctx.Err() != nil || errors.Is(fault, ledger.ErrUnreachable) {
			return sent, left + len(names) - i - 1, err
		}
	}
	return sent, left, err
}

// deliverOne sends a kept outcome and removes its file. The error is errLocked while another
// process sends it.
func (l *Ledger) deliverOne(ctx context.Context, here *local, name string) error {
	return l.withPending(here, name, func(o *outcome) error { return l.deliverOutcome(ctx, here, o) })
}

// withPending calls send with a kept outcome, and removes its file unless send fails.
func (l *Ledger) withPending(here *local, name string, send func(o *outcome) error) error {
	f, o, err := here.openPending(name)
	if errors.Is(err, fs.ErrNotExist) { // sent by another process
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := send(o); err != nil {
		return err
	}
	failpoint.Here("sync.sent")
	here.removeSpool(o.RunID)
	here.removePending(name)
	return nil
}

// deliverOutcome sends an outcome whose call has ended.
func (l *Ledger) deliverOutcome(ctx context.Context, here *local, o *outcome) error {
	id := o.id()
	if o.Spool {
		out, err := l.sendSpool(ctx, here, id, o.RunID)
		switch {
		case err == nil:
			o.Truncated = o.Truncated || out.size != o.Size || out.sum != o.Sum
			o.Storage, o.Size, o.Sum, o.Chunks = out.storage, out.size, out.sum, out.chunks
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errGone):
			o.Truncated, o.Storage, o.Size, o.Sum, o.Chunks = true, storageNone, 0, 0, 0
		default:
			return l.explain(err)
		}
	}
	if err := here.ended(o); err != nil {
		return l.explain(err)
	}
	var more []*wire.Stmt
	if o.Final {
		more = append(more, l.stmt("delete from {s}.mutex where id = $1 and holder = $2", wire.Bytes(nameOf(id)), wire.ID(o.Holder)))
	}
	var stored ledger.Attempt
	err := l.retryEach(ctx, max(l.opt.ConnectTimeout, o.limit()), o.limit(), func(ctx context.Context) error { return l.sendOnce(ctx, here, o, &stored, more) })
	if err == nil {
		here.acknowledged(id, o.Fence, o.generation, o.RunID)
	}
	if errors.Is(err, ledger.ErrLost) {
		err = l.recordLate(ctx, o)
	}
	return err
}

// ended sets whether the claim of an outcome can be given back: its call has ended, so it can
// unless processes of a killed command live.
func (s *local) ended(o *outcome) error {
	o.Final = true
	if o.Reason == ledger.ReasonExit {
		return nil
	}
	alive, err := s.locks.Held(filelock.NameOf(o.id()), filelock.Life)
	o.Final = !alive && len(filelock.LeftoversOf(o.RunID)) == 0
	return err
}

// aMoment is the time that a call spends on outcomes of other keys.
const aMoment = time.Second

// syncFirst sends the outcomes that this host has kept of a key, before a call decides about it.
// With an error the call must not go on: it does not know all that this host knows. The call has
// the key's lock on this host. The outcome of a forgotten attempt stays until Confirm. It does not
// keep a person from settling the key. A moment is also spent on outcomes of other keys, once per
// handle.
func (l *Ledger) syncFirst(ctx context.Context, here *local, key filelock.Name, person bool) error {
	names, err := here.pending()
	if err != nil || len(names) == 0 {
		return l.explain(err)
	}
	l.session.Withdraw(ctx)
	for _, name := range names {
		if strings.HasSuffix(name, pendingOf(key)) {
			if err := l.deliverNow(ctx, here, name); err != nil && !(person && errors.Is(err, errForgotten)) {
				return err
			}
		}
	}
	if l.synced.CompareAndSwap(false, true) {
		moment, cancel := context.WithTimeout(ctx, aMoment)
		defer cancel()
		_, _, _ = l.deliver(moment) // the next call or the keeper tries again
	}
	return nil
}

// syncRun sends the outcome of an attempt that is recorded as running, if this host has kept it.
// It reports whether the record may have changed.
func (l *Ledger) syncRun(ctx context.Context, id ledger.ID, runID string) (bool, error) {
	here, err := l.openLocal(ctx, false)
	if here == nil || err != nil {
		return false, err
	}
	key := filelock.NameOf(id)
	name := pendingName(runID, key)
	if _, err := here.dir.Stat(filepath.Join(pendingDir, name)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if held, err := here.locks.Held(key, filelock.Claim); held || err != nil { // its call is still trying
		return false, l.explain(err)
	}
	l.session.Withdraw(ctx)
	return true, l.deliverNow(ctx, here, name)
}

// deliverWaiting is deliverOne that waits for another process that sends the outcome. A keeper has
// the outcome while it tries to reach the server.
func (l *Ledger) deliverWaiting(ctx context.Context, here *local, name string) error {
	end := time.Now().Add(l.opt.ConnectTimeout)
	return poll.Until(ctx, firstAsk, longAsk, func() (bool, error) {
		err := l.deliverOne(ctx, here, name)
		if errors.Is(err, errLocked) && time.Now().Before(end) {
			return false, nil
		}
		return true, err
	})
}

// deliverNow is deliverWaiting for an outcome on which a decision depends.
func (l *Ledger) deliverNow(ctx context.Context, here *local, name string) error {
	err := l.deliverWaiting(ctx, here, name)
	if errors.Is(err, errLocked) {
		err = &ledger.Error{Place: l.cfg.Name(), Err: fmt.Errorf("%w: %w", ledger.ErrUnreachable, errLocked)}
	}
	if err = l.explain(err); err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("the outcome of an earlier run is kept on this host and could not be sent: %w", err)
}

// settlePending ends the wait for the server to remember attempts that it has forgotten: a person
// has accepted that. Their outcomes become late ones.
func (l *Ledger) settlePending(ctx context.Context, here *local) error {
	names, err := here.pending()
	for _, name := range names {
		fault := l.withPending(here, name, func(o *outcome) error {
			err := l.deliverOutcome(ctx, here, o)
			if errors.Is(err, errForgotten) {
				err = l.recordLate(ctx, o)
			}
			return err
		})
		if !errors.Is(fault, errLocked) {
			err = errors.Join(err, fault)
		}
	}
	return err
}
