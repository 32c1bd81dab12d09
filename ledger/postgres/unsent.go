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

// keep writes the outcome to a file, unless it is written. A later try can succeed after a
// failure, such as a full disk.
func (u *unsent) keep() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file != nil || u.over {
		return
	}
	first := u.failure == nil
	if u.o.Spool {
		_ = u.here.syncSpool(u.o.RunID) // its sum shows what is missing
	}
	f, err := u.here.keepOutcome(&u.o)
	if u.failure = err; err == nil {
		u.file = f
		return
	}
	if warn := u.ledger.opt.Warn; first && warn != nil {
		warn(fmt.Sprintf("the ledger has not taken the outcome of key %q yet, and the outcome cannot be kept on this host: %v", u.o.Key, classify(err)))
	}
}

// send sends the outcome until the server has it or the time d has passed. It returns the
// end as recorded.
func (u *unsent) send(ctx context.Context, d time.Duration) (stored ledger.Attempt, err error) {
	l := u.ledger
	err = l.retryEach(ctx, d, u.o.limit(), func(ctx context.Context) error {
		err := l.sendOnce(ctx, u.here, &u.o, &stored, u.more)
		if err != nil && !errors.Is(err, ledger.ErrLost) {
			u.keep()
		}
		return err
	})
	return stored, err
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
	l, name := u.ledger, pendingName(u.o.RunID, filelock.NameOf(u.o.id()))
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
