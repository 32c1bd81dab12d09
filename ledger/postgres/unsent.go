package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// unsent is an outcome that Finish sends. At the first failure it is also kept on this host.
type unsent struct {
	ledger *Ledger
	here   *local
	more   []*wire.Stmt // sent after the outcome

	mu      sync.Mutex
	o       outcome
	file    *os.File // the locked file of the kept outcome, or nil
	failure error    // why it could not be kept, if so
	over    bool     // nothing is to be kept any more
}

// errImpatient is the error of tries that a user has ended.
var errImpatient = fmt.Errorf("%w: Ctrl-C ended the tries to send the outcome", ledger.ErrUnreachable)

// silentFor is the time after which a user is told that the ledger has not taken an outcome.
// Ctrl-C ends no tries before that, so a server that answers as usual gets the outcome.
const silentFor = 3 * time.Second

// keepPause is the time between two tries to keep an outcome, after Ctrl-C.
const keepPause = time.Second

func (e *execution) newUnsent(o ledger.Outcome) *unsent {
	c := e.claim
	u := &unsent{ledger: c.ledger, here: c.here, o: outcome{
		Namespace: []byte(c.id.Namespace), Key: []byte(c.id.Key), Window: []byte(c.id.Window),
		RunID: e.attempt.RunID, Fence: e.fence, Holder: c.held.holder, Final: o.Final && o.Reason == ledger.ReasonExit,
		State: o.State, Reason: o.Reason, ExitCode: o.ExitCode, Signal: o.Signal, Ended: time.Now(),
		Incomplete: o.Capture.Incomplete, Redacted: o.Capture.Redacted, Host: []byte(c.ledger.host),
	}}
	for _, f := range o.Files {
		u.o.Files = append(u.o.Files, keptFile{[]byte(f.Name), f.Place, f.Lost, f.Content})
	}
	return u
}

// output sets what is known of the output. An output in pieces is also in the file of the attempt.
func (u *unsent) output(a ledger.Attempt, done int64, out output, inline []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	o := &u.o
	o.OutputBytes, o.Truncated, o.Done = a.OutputBytes, a.Truncated, done
	o.Storage, o.Size, o.Sum, o.Chunks, o.Inline = out.storage, out.size, out.sum, out.chunks, inline
	o.Spool = out.storage == storageChunks
}

// keep writes the outcome to a file, unless it is written, and reports whether the file exists. A
// later try can succeed after a failure, such as a full disk.
func (u *unsent) keep() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file != nil || u.over {
		return u.file != nil
	}
	first := u.failure == nil
	if u.o.Spool {
		_ = u.here.syncSpool(u.o.RunID) // its sum shows what is missing
	}
	f, err := u.here.keepOutcome(&u.o)
	if u.failure = err; err == nil {
		u.file = f
		return true
	}
	if warn := u.ledger.opt.Warn; first && warn != nil {
		warn(fmt.Sprintf("the ledger has not taken the outcome of key %q yet\nit cannot be kept on this host: %v", u.o.Key, classify(err)))
	}
	return false
}

// tries returns a context for tries to send that end at until. It ends with ctx, as soon as the
// outcome is kept. The user is told after the time silent.
func (u *unsent) tries(ctx context.Context, silent time.Duration, until time.Time) (tries context.Context, stop func()) {
	tries, cancel := context.WithCancel(context.WithoutCancel(ctx))
	early := time.After(silentFor)
	tell := time.AfterFunc(silent, func() { u.tell(until) })
	unlisten := context.AfterFunc(ctx, func() {
		select {
		case <-tries.Done():
		case <-early:
			for !u.keep() { // a full disk, perhaps
				select {
				case <-tries.Done():
					return
				case <-time.After(keepPause):
				}
			}
			cancel()
		}
	})
	return tries, func() { tell.Stop(); unlisten(); cancel() }
}

// tell tells the user, once in a process, that the ledger does not take the outcome.
func (u *unsent) tell(until time.Time) {
	warn := u.ledger.opt.Warn
	if warn == nil || u.ledger.told.Swap(true) {
		return
	}
	text := fmt.Sprintf("the ledger has not taken the outcome of key %q yet\nidem tries until %s", u.o.Key, until.Format(time.TimeOnly))
	if u.keep() && u.ledger.leases.keeping != nil {
		text += ", and Ctrl-C leaves it to the keeper"
	}
	warn(text)
}

// send sends the outcome until the server has it, the time d has passed, or ctx is done. It returns
// the end as recorded.
func (u *unsent) send(ctx context.Context, d time.Duration) (stored ledger.Attempt, err error) {
	l := u.ledger
	tries, stop := u.tries(ctx, silentFor, time.Now().Add(d))
	defer stop()
	err = l.retryEach(tries, d, u.o.limit(), func(ctx context.Context) error {
		err := l.sendOnce(ctx, u.here, &u.o, &stored, u.more)
		if err != nil && !errors.Is(err, ledger.ErrLost) {
			u.keep()
		}
		return err
	})
	if err != nil && tries.Err() != nil {
		err = u.impatient()
	}
	return stored, err
}

func (u *unsent) impatient() error {
	return &ledger.Error{Place: u.ledger.cfg.Name(), Err: errImpatient}
}

// limit is the time limit of one try, as in doWithin.
func (o *outcome) limit() time.Duration {
	size := len(o.Inline)
	for _, f := range o.Files {
		size += len(f.Content)
	}
	return tryTimeout + time.Duration(size)*perByte
}

// sendOnce sends an outcome. The error is that of readSent if the server did not take it.
func (l *Ledger) sendOnce(ctx context.Context, here *local, o *outcome, stored *ledger.Attempt, more []*wire.Stmt) error {
	stmts := l.outcomeStmts(o, stored)
	if err := l.session.Do(ctx, wire.Durable, append(stmts, more...)...); err != nil {
		return err
	}
	if stmts[0].Rows == 0 {
		return l.readSent(ctx, here, o, stored)
	}
	return nil
}

// end ends the sending with the error of send, which is nil if the server has the outcome. It
// returns the error of Finish.
func (u *unsent) end(ctx context.Context, err error) error {
	l := u.ledger
	taken := errors.Is(err, ledger.ErrLost)
	gone := err == nil || taken && l.recordLate(ctx, &u.o) == nil
	if !gone {
		u.keep()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = true
	path := ""
	if u.file != nil {
		name := pendingName(u.o.RunID, filelock.NameOf(u.o.id()))
		if gone {
			u.here.removePending(name)
		} else {
			path = u.here.dir.File(pendingDir + "/" + name)
		}
		_ = u.file.Close()
	}
	switch {
	case err == nil, taken:
		return err
	case u.failure != nil:
		err = fmt.Errorf("%w; the outcome could not be kept on this host either, so it is lost: %w", err, classify(u.failure))
	}
	return &ledger.UnsentError{Path: path, Err: err}
}

// syncSpool makes the file of an attempt durable.
func (s *local) syncSpool(runID string) error {
	f, err := s.dir.Open(spoolName(runID), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
