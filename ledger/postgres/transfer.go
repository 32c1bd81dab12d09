package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/postgres/wire"
	"idem/ledger/spool"
)

// Numbers implements ledger.Transferring.
func (l *Ledger) Numbers(ctx context.Context, namespace string) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for last := []byte{}; ; {
			var page []ledger.ID
			s := l.stmt(`select r.id, r.namespace, r.key, r.win from {s}.record r where r.id > $1 and (r.series <> 0 or r.seq = 0)
				and ($2 = ''::pg_catalog.bytea or r.namespace = $2) order by r.id limit `+fmt.Sprint(listPage), wire.Bytes(last), wire.Raw(namespace))
			s.Each = func(row *wire.Row) error {
				last = bytes.Clone(row.Bytes())
				page = append(page, ledger.ID{Namespace: row.Text(), Key: row.Text(), Window: row.Text()})
				return nil
			}
			if err := l.do(ctx, wire.Read, s); err != nil {
				yield(ledger.Record{}, err)
				return
			}
			for _, id := range page {
				r, told, err := l.mustBeTold(ctx, id)
				if (told || err != nil) && !yield(r, err) || err != nil {
					return
				}
			}
			if len(page) < listPage {
				return
			}
		}
	}
}

// mustBeTold reports whether another ledger would give the record of id other numbers.
func (l *Ledger) mustBeTold(ctx context.Context, id ledger.ID) (ledger.Record, bool, error) {
	f, err := l.read(ctx, id)
	if err != nil || f.own.stale || !f.own.stored {
		return ledger.Record{}, false, err // the series of the record above covers the numbers of a stale one
	}
	r := f.own.rec
	r.Current = ledger.Attempt{RunID: r.Current.RunID}
	fresh := newFamily(id)
	fresh.above = f.above
	if err := fresh.resolve(); err != nil {
		return r, false, l.explain(err)
	}
	return r, r.Series != 0 || r.Generation > fresh.own.rec.Generation || r.Fence > fresh.own.rec.Fence, nil
}

// SetSecret implements ledger.Rekeying. Only the owner of the tables has the right to do so.
func (l *Ledger) SetSecret(ctx context.Context, secret []byte) (bool, error) {
	set := l.stmt("update {s}.meta set secret = $1 where not exists (select 1 from {s}.record where seq > 0)", wire.Bytes(secret))
	err := l.do(ctx, wire.Durable, set)
	if err != nil && !errors.Is(err, ledger.ErrDenied) {
		return false, err
	}
	l.mu.Lock()
	l.meta = nil
	l.mu.Unlock()
	now, err := l.Secret(ctx)
	return bytes.Equal(now, secret), err
}

// incoming is an attempt that Put stores.
type incoming struct {
	a      ledger.Attempt
	out    output
	inline []byte
	files  []ledger.File
	copier *spool.Copier // nil after its end
	file   *os.File      // without a name; it has the output. nil without one
	runID  string
}

// Put implements ledger.Receiving. It stores no history over another one: the last outcome that a
// host knows must remain, see witness.go. Large outputs are sent before the transaction. If it is
// not committed, they remain until the next Put or Forget of the record.
func (c *claim) Put(ctx context.Context, im ledger.Import) error {
	l := c.ledger
	if err := errors.Join(c.checkHeld(), ctx.Err(), ledger.Origin{Parent: im.Parent}.Check(c.id)); err != nil {
		return err
	}
	c.mu.Lock()
	executing := c.life != nil
	c.mu.Unlock()
	if executing {
		return l.busy(ctx, c.id, false)
	}
	if im.Next != nil && im.Expect.Current.RunID != "" {
		return ledger.ErrHistory
	}
	here, err := l.openLocal(ctx, true)
	if err != nil {
		return err
	}
	var in []*incoming
	defer func() {
		for _, n := range in {
			n.discard()
		}
	}()
	if im.Next != nil {
		if err := l.do(ctx, wire.Durable, l.stmt("delete from {s}.output o where o.id = $1 and not exists (select 1 from {s}.record r where r.id = $1 and r.seq > 0)",
			wire.Bytes(c.name[:]))); err != nil {
			return err
		}
	}
	for im.Next != nil {
		p, err := im.Next()
		if (p.Attempt != nil || errors.Is(err, io.EOF)) && len(in) > 0 {
			if err := in[len(in)-1].end(ctx, c); err != nil {
				return l.explain(err)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case p.Attempt != nil:
			in = append(in, newIncoming(here, *p.Attempt))
		case p.Chunk != nil:
			if err := in[len(in)-1].copier.Add(*p.Chunk); err != nil {
				return l.explain(err)
			}
		case p.File != nil:
			in[len(in)-1].files = append(in[len(in)-1].files, *p.File)
		}
	}
	if err := l.passNumbers(ctx, max(im.Generation, im.Fence, im.Series)); err != nil {
		return err
	}
	return c.put(context.WithoutCancel(ctx), im, in)
}

func newIncoming(here *local, a ledger.Attempt) *incoming {
	n := &incoming{a: a, runID: a.RunID}
	n.copier = spool.NewCopier(func() (*os.File, error) {
		f, err := here.dir.Scratch()
		if err != nil {
			return nil, err
		}
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3) // the copier closes f
		if err != nil {
			_ = f.Close()
			return nil, os.NewSyscallError("fcntl", err)
		}
		n.file = os.NewFile(uintptr(fd), f.Name())
		return f, nil
	})
	return n
}

// end ends the output, and sends it if it is large.
func (n *incoming) end(ctx context.Context, c *claim) error {
	a := &n.a
	a.Files = len(n.files)
	running := a.State == ledger.Running && !a.NoOutput
	if running {
		if err := n.copier.Spill(); err != nil {
			return err
		}
	}
	sum, err := n.copier.Close()
	n.copier = nil
	if err != nil {
		return err
	}
	switch {
	case a.NoOutput:
		n.out.storage = storageRefused
		return nil
	case !a.OutputRemoved.IsZero():
		n.out.storage, n.out.size = storageRemoved, a.OutputRemoved.UnixMicro()
		return nil
	case sum.Inline != nil:
		n.out, n.inline = output{storage: storageInline, size: int64(len(sum.Inline)), sum: sum.Sum}, sum.Inline
		return nil
	}
	s := sender{ledger: c.ledger, name: c.name[:], runID: a.RunID, mark: true, file: n.file}
	if err := s.send(ctx, sum.Size, c.ledger.opt.ConnectTimeout); err != nil {
		return err
	}
	n.discard()
	if n.out = (output{storage: storageChunks, size: sum.Size, sum: sum.Sum, chunks: s.pieces}); running {
		n.out = output{storage: storageUnknown}
	}
	return nil
}

func (n *incoming) discard() {
	if n.copier != nil {
		n.copier.Discard()
	}
	if n.file != nil {
		_ = n.file.Close()
		n.file = nil
	}
}

// mostDrawn is the greatest number by which an import may advance the sequence. Only the owner could
// set it.
const mostDrawn = 1 << 26

// passNumbers draws numbers until they are greater than least, so that none of an import comes again.
func (l *Ledger) passNumbers(ctx context.Context, least int64) error {
	for n, first := int64(0), true; n < least; first = false {
		draw := l.stmt("select pg_catalog.max(pg_catalog.nextval({number}::pg_catalog.regclass)) from pg_catalog.generate_series(1, $1::pg_catalog.int8)",
			wire.Int(min(max(least-n, 1), 500_000)))
		if first {
			draw = l.stmt("select pg_catalog.nextval({number}::pg_catalog.regclass)")
		}
		draw.Each = func(row *wire.Row) error { n = row.Int(); return nil }
		if err := l.do(ctx, wire.Durable, draw); err != nil {
			return err
		}
		if least-n > mostDrawn {
			return fmt.Errorf("the number %d is far greater than all numbers of this ledger, the latest of which is %d", least, n)
		}
	}
	return nil
}

// put stores a record. A transaction whose answer was lost is found by the latest run ID.
func (c *claim) put(ctx context.Context, im ledger.Import, in []*incoming) error {
	l := c.ledger
	var r record
	since := sinceBoot()
	err := l.retryEach(ctx, l.opt.ConnectTimeout, tryTimeout+sizeOf(in), func(ctx context.Context) error {
		since = sinceBoot()
		return l.session.Tx(ctx, wire.Durable, func(t *wire.Tx) error {
			f, err := c.lockOwn(t)
			if err != nil {
				return err
			}
			if now := f.own.rec.Current.RunID; len(in) > 0 && now == in[len(in)-1].runID {
				r = f.own
				return nil
			}
			if differs(im.Expect, f.own.rec) && len(in) > 0 {
				return ledger.ErrChanged
			}
			if err := l.replace(t, &f, im, in); err != nil {
				return err
			}
			r = f.own
			return nil
		})
	})
	c.changed()
	if err != nil {
		return err
	}
	failpoint.Here("put.done")
	l.leases.renewed(c.held, since)
	if len(in) > 0 && r.rec.Current.State != ledger.Running { // an attempt without an end proves nothing
		c.here.acknowledged(c.id, r.seq, r.rec.Generation, r.rec.Current.RunID)
	}
	return nil
}

// replace makes in the history of a locked record that has none, and raises its numbers.
func (l *Ledger) replace(t *wire.Tx, f *family, im ledger.Import, in []*incoming) error {
	r := &f.own
	is, err := l.hasBelow(t, r)
	if err != nil {
		return err
	}
	if r.stale {
		if err := l.settleStale(t, r); err != nil {
			return err
		}
	}
	if r.rec.Current.RunID == "" {
		r.rec.Generation = max(r.rec.Generation, im.Generation)
	}
	r.rec.Fence = max(r.rec.Fence, im.Fence)
	if is != current {
		r.rec.Series = max(r.rec.Series, im.Series)
	}
	if len(in) == 0 {
		return l.store(t, r)
	}
	if err := l.adopt(t, f, ledger.Origin{Parent: im.Parent}); err != nil {
		return err
	}
	var numbers []int64
	draw := l.stmt("select pg_catalog.nextval({number}::pg_catalog.regclass) as n from pg_catalog.generate_series(1, $1::pg_catalog.int8) order by n", wire.Int(len(in)))
	draw.Each = func(row *wire.Row) error { numbers = append(numbers, row.Int()); return nil }
	if err := t.Do(draw); err != nil {
		return err
	}
	r.rec.Attempts = 0
	var stmts []*wire.Stmt
	name := nameOf(r.rec.ID)
	last := len(in) - 1
	for i, n := range in {
		r.rec.Attempts = max(r.rec.Attempts, n.a.Number)
		if i < last {
			stmts = append(stmts, l.attemptStmt(name, numbers[i], n))
		}
		for at, file := range n.files {
			stmts = append(stmts, l.stmt("insert into {s}.file (run_id, n, id, name, place, lost, sum, content) values ($1, $2, $3, $4, $5, $6, $7, $8)",
				wire.Text(n.runID), wire.Int(at), wire.Bytes(name), wire.Raw(file.Name), wire.Int(file.Place), wire.Bool(file.Lost),
				wire.Int(fileSum(r.rec.ID, n.runID, at, file)), wire.Bytes(file.Content)))
		}
	}
	for len(stmts) > 0 {
		some := stmts[:min(len(stmts), listPage)]
		stmts = stmts[len(some):]
		if err := t.Do(some...); err != nil {
			return err
		}
	}
	r.rec.Current, r.out, r.inline, r.seq = in[last].a, in[last].out, in[last].inline, numbers[last]
	r.done = r.doneBy(r.rec.Current)
	return l.store(t, r)
}

// attemptStmt stores an earlier attempt.
func (l *Ledger) attemptStmt(name []byte, seq int64, n *incoming) *wire.Stmt {
	args := []wire.Arg{wire.Bytes(name), wire.Int(seq), wire.BytesOrNull(n.inline)}
	args = append(args, attemptArgs(n.a, n.out)...)
	values := "$1"
	for i := range args[1:] {
		values += fmt.Sprintf(", $%d", i+2)
	}
	return l.stmt("insert into {s}.attempt (id, seq, inline, "+columnsOf("", attemptColumns)+") values ("+values+")", args...)
}

// sizeOf returns the time that a transaction with in may take more than one without.
func sizeOf(in []*incoming) time.Duration {
	size := 0
	for _, n := range in {
		size += 1000 + len(n.inline) + len(n.a.Inputs)
		for _, f := range n.files {
			size += len(f.Content)
		}
	}
	return time.Duration(size) * perByte
}
