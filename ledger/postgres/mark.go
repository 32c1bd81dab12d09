package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// Mark implements ledger.Claim.
func (c *claim) Mark(ctx context.Context, m ledger.Mark) (ledger.Attempt, error) {
	l := c.ledger
	if err := errors.Join(c.checkHeld(), ctx.Err()); err != nil {
		return ledger.Attempt{}, err
	}
	c.mu.Lock()
	executing := c.life != nil
	c.mu.Unlock()
	if executing {
		return ledger.Attempt{}, l.busy(ctx, c.id, false)
	}
	mark := newMark{a: ledger.Attempt{
		RunID: m.RunID, State: m.State, Reason: m.Reason, ExitCode: m.ExitCode,
		Fingerprint: m.Fingerprint, Inputs: m.Inputs, Owner: m.Owner, Note: m.Note, ParentRun: m.Origin.RunID,
	}}
	if err := mark.keepOutput(ctx, l, m, c.name[:]); err != nil {
		return ledger.Attempt{}, err
	}
	if err := c.mark(context.WithoutCancel(ctx), m, &mark); err != nil {
		return ledger.Attempt{}, err
	}
	return mark.a, nil
}

// newMark is a mark that is about to be recorded.
type newMark struct {
	a      ledger.Attempt
	out    output
	inline []byte
}

// keepOutput reads the output of a mark and stores what does not fit in the row of the record. It
// sets the fields of the attempt that describe the output. Output that cannot be kept is an error,
// unlike that of a command: a mark need not be recorded without its output.
func (n *newMark) keepOutput(ctx context.Context, l *Ledger, m ledger.Mark, name []byte) error {
	a := &n.a
	if m.Stdout == nil {
		n.out.storage, a.NoOutput = storageRefused, true
		return nil
	}
	count := &counter{Reader: m.Stdout}
	var capture ledger.Capture
	read := func() ledger.Capture {
		capture = m.Captured()
		return capture
	}
	var err error
	if m.MaxOutput == 0 {
		_, err = io.Copy(io.Discard, count)
		read()
		n.out.storage, a.NoOutput = storageRefused, true
	} else {
		counted := m
		counted.Stdout, counted.Capture = count, read
		n.out, n.inline, err = l.keepMarkOutput(ctx, counted, name)
	}
	a.OutputBytes, a.Incomplete, a.Redacted = count.n+capture.Unread.Total(), capture.Incomplete, capture.Redacted
	a.Truncated = !a.NoOutput && (capture.Unread.Total() > 0 || m.MaxOutput >= 0 && a.OutputBytes > m.MaxOutput)
	if count.err != nil {
		return count.err
	}
	return l.explain(err)
}

// counter counts the bytes that are read, and keeps the error that is not io.EOF.
type counter struct {
	io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	if !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// mark makes a mark the current attempt of the record. A mark that was committed by an earlier
// try, whose answer was lost, is found by its run ID.
func (c *claim) mark(ctx context.Context, m ledger.Mark, n *newMark) error {
	l := c.ledger
	failpoint.Here("mark.before")
	var done *record
	var whole bool   // the server has the witness of this host
	var unknown bool // a try may have been committed
	since := sinceBoot()
	err := l.retry(ctx, l.opt.ConnectTimeout, func(ctx context.Context) error {
		since = sinceBoot()
		err := l.session.Tx(ctx, wire.Durable, func(t *wire.Tx) (err error) {
			done, whole, err = c.record(t, m, *n)
			return err
		})
		unknown = errors.As(err, new(*wire.UnknownError)) || unknown && err != nil && repeatable(err)
		return err
	})
	c.changed()
	switch {
	case err == nil:
		l.leases.renewed(c.held, since)
		n.a = done.rec.Current
		if whole {
			c.here.acknowledged(c.id, done.seq, done.rec.Generation, m.RunID)
		}
	case unknown:
		return fmt.Errorf("%w; the mark may be recorded nevertheless", err)
	case n.out.storage == storageChunks:
		l.dropPieces(ctx, m.RunID)
	}
	failpoint.Here("mark.done")
	return err
}

// record is the transaction of Mark. It returns the record with the mark, and whether the server had
// the witness of this host. A witness that it has forgotten must remain until Confirm.
func (c *claim) record(t *wire.Tx, m ledger.Mark, n newMark) (_ *record, whole bool, err error) {
	l := c.ledger
	var first []*wire.Stmt
	var deleted bool
	whole = true
	if c.person {
		known, err := uuidOf(c.here)
		if err != nil {
			return nil, false, err
		}
		take := c.claimStmt(c.held, known, evidence{}, true)
		take.Each = func(row *wire.Row) error {
			row.Bool()
			c.here.confirmations(row.Int())
			return row.Err()
		}
		if last := c.here.lastWitness(); last.fence != 0 {
			first = append(first, l.witnessStmt(last, &whole, &deleted))
		}
		first = append(first, take)
	}
	f, err := c.lockOwn(t, first...)
	if err != nil {
		return nil, false, err
	}
	whole = whole || deleted
	r := &f.own
	if r.rec.Current.RunID == m.RunID {
		return r, whole, nil
	}
	if differs(m.Expect, r.rec) {
		return nil, false, ledger.ErrChanged
	}
	if err := l.settle(t, r); err != nil {
		return nil, false, err
	}
	if m.Renew {
		if err := l.renew(t, r); err != nil {
			return nil, false, err
		}
	}
	if m.Origin.Parent != (ledger.ID{}) || r.parent != nil {
		if err := l.adopt(t, &f, m.Origin); err != nil {
			return nil, false, err
		}
	}
	r.rec.Current, r.out, r.inline = n.a, n.out, n.inline
	r.done = r.doneBy(n.a)
	return r, whole, l.advance(t, r, false)
}

// differs reports whether a record has another generation or another current attempt than when
// it was read.
func differs(was, now ledger.Record) bool {
	return now.Generation != was.Generation || now.Current.RunID != was.Current.RunID || now.Current.State != was.Current.State
}
