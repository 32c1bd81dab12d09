package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"idem/ledger"
	"idem/ledger/postgres/wire"
	"idem/ledger/spool"
)

const (
	// pieceSize is the maximum size in bytes of a row of the table output. Larger rows take
	// more memory of the server, and smaller ones are slower.
	pieceSize = 256 << 10
	// mostPieces is the number of pieces that are sent together.
	mostPieces = 8
	// pieceTimeout is tryTimeout for a single piece, which a slow network must be able to send.
	pieceTimeout = time.Minute
)

// The output of a running attempt is sent from sendAfter on. Later pieces are sent at intervals
// that grow with the duration of the attempt, so that no output has very many pieces.
const (
	sendAfter       = time.Second
	longestInterval = 10 * time.Second
)

func sendInterval(age time.Duration) time.Duration {
	return min(max(sendAfter, age/500), longestInterval)
}

// errGone is the error of pieces whose record or attempt does not exist any more.
var errGone = errors.New("the attempt of an output is gone")

// sender sends the beginning of a file as pieces. It never sends a byte twice.
type sender struct {
	ledger *Ledger
	name   []byte // of the record
	runID  string
	mark   bool // the output is that of a mark, whose attempt is not stored yet
	file   io.ReaderAt
	limit  time.Duration // of one try; 0: pieceTimeout

	sent   int64 // bytes that the server has acknowledged
	pieces int   // the pieces of these bytes
	// tried is where the last piece that was sent ends. If its answer was lost, the server may
	// have the piece, so the next try must send the same one.
	tried int64
	width int // pieces to send together; 0: mostPieces

	failed atomic.Pointer[func()] // called after each failure, unless nil
}

// sendSQL stores a piece. The row of the record is locked against a Forget until the commit. The
// result is empty if the attempt is gone, or has got another output.
const sendSQL = `with r as materialized (select 1 from {s}.record r where r.id = $1 and ($5 or r.run_id = $2 and r.storage = 0
		or exists (select 1 from {s}.attempt a where a.id = $1 and a.run_id = $2 and a.storage = 0)) for key share),
	i as (insert into {s}.output (run_id, n, id, frames) select $2, $3, $1, $4 from r on conflict (run_id, n) do nothing)
	select 1 from r`

// send sends the bytes up to end. It tries until the server has them, or until no piece was
// acknowledged for the time patience.
func (s *sender) send(ctx context.Context, end int64, patience time.Duration) error {
	b := &backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, Multiplier: 2, RandomizationFactor: 0.5, MaxInterval: 5 * time.Second}
	b.Reset()
	last := time.Now()
	for s.sent < end {
		err := s.some(ctx, end)
		if err == nil {
			last = time.Now()
			b.Reset()
			continue
		}
		if failed := s.failed.Load(); failed != nil && repeatable(err) {
			(*failed)()
		}
		pause := b.NextBackOff()
		if ctx.Err() != nil || !repeatable(err) || time.Since(last)+pause > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
	return nil
}

// some sends the next pieces.
func (s *sender) some(ctx context.Context, end int64) error {
	var stmts []*wire.Stmt
	at := s.sent
	if s.width == 0 {
		s.width = mostPieces
	}
	// One sender at a time bounds the memory, and needs one connection.
	var buffer []byte
	select {
	case buffer = <-s.ledger.outbox:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.ledger.outbox <- buffer }()
	if buffer == nil {
		buffer = make([]byte, mostPieces*pieceSize)
	}
	for at < end && len(stmts) < s.width {
		to := min(at+pieceSize, end)
		if at < s.tried {
			to = min(at+pieceSize, s.tried)
		}
		frames := buffer[at-s.sent:][:to-at]
		if _, err := s.file.ReadAt(frames, at); err != nil {
			return fmt.Errorf("the output of run %s: %w", s.runID, err)
		}
		stmts = append(stmts, s.ledger.stmt(sendSQL, wire.Bytes(s.name), wire.Text(s.runID), wire.Int(s.pieces+len(stmts)), wire.Bytes(frames), wire.Bool(s.mark)))
		at = to
	}
	s.tried = max(s.tried, at)
	try, cancel := context.WithTimeout(ctx, cmp.Or(s.limit, pieceTimeout))
	defer cancel()
	if err := s.ledger.pieces.Do(try, wire.Durable, stmts...); err != nil {
		if try.Err() != nil && ctx.Err() == nil {
			s.width = max(1, s.width/2)
		}
		return err
	}
	for _, stmt := range stmts {
		if stmt.Rows == 0 {
			return errGone
		}
	}
	s.sent, s.pieces = at, s.pieces+len(stmts)
	return nil
}

// upload sends the output of an execution while its command runs.
type upload struct {
	sender
	claim *claim
	start time.Time

	own    *os.File // a descriptor of the spool; nil without a spool
	ctx    context.Context
	cancel context.CancelFunc
	stop   chan struct{} // closed: send no more
	done   chan struct{} // closed when run has returned
	once   sync.Once
}

func newUpload(c *claim, runID string) *upload {
	u := &upload{sender: sender{ledger: c.ledger, name: c.name[:], runID: runID}, claim: c, start: time.Now()}
	u.limit = min(pieceTimeout, u.patience())
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.stop, u.done = make(chan struct{}), make(chan struct{})
	return u
}

// begin sends the file of w from now on. Without it, an attempt has no pieces.
func (u *upload) begin(w *spool.Writer) error {
	f, err := u.claim.here.dir.Open(spoolName(u.runID), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	u.own, u.file = f, f
	go u.run(w)
	return nil
}

func (u *upload) run(w *spool.Writer) {
	defer close(u.done)
	pause := sendAfter - time.Since(u.start)
	for {
		select {
		case <-u.stop:
			return
		case <-time.After(pause):
		}
		released := u.claim.checkHeld() != nil // without an outcome
		end := w.Written()
		if err := u.send(u.ctx, end, u.patience()); err != nil && !repeatable(err) {
			return // the end of the attempt tries once more
		}
		if released {
			return
		}
		if pause = sendInterval(time.Since(u.start)); w.Written()-u.sent >= pieceSize {
			pause = 0
		}
	}
}

// patience is how long an outcome waits for an output of which nothing reaches the server. The
// rest of the time is for the outcome itself.
func (u *upload) patience() time.Duration { return u.ledger.opt.FinishTimeout / 2 }

// end ends run, at the latest after the time d.
func (u *upload) end(d time.Duration) {
	u.once.Do(func() { close(u.stop) })
	if u.own == nil {
		return
	}
	t := time.AfterFunc(d, u.cancel)
	<-u.done
	t.Stop()
}

// close frees what the upload has.
func (u *upload) close() {
	u.cancel()
	if u.own != nil {
		_ = u.own.Close()
	}
}

// rest sends what the server does not have yet, when the spool is closed. It calls failed when
// a piece cannot be sent, or when sending takes long.
func (u *upload) rest(ctx context.Context, size int64, failed func()) error {
	u.failed.Store(&failed)
	defer time.AfterFunc(tryTimeout, failed).Stop()
	defer context.AfterFunc(ctx, u.cancel)()
	u.end(u.patience())
	if u.own == nil {
		return errGone
	}
	u.ledger.session.Withdraw(ctx) // the outcome may come much later
	return u.send(ctx, size, u.patience())
}

// drop ends the upload of an output that is kept elsewhere or not at all. It waits a moment for
// pieces that are being sent, because the caller deletes all that are stored.
func (u *upload) drop() { u.end(sendAfter) }

// begun reports whether the server may have pieces.
func (u *upload) begun() bool { return u != nil && u.tried > 0 }

const dropSQL = `delete from {s}.output where run_id = $1`

// dropStmts returns statements that follow the outcome of an attempt. They delete the pieces of
// an output that is not in pieces.
func (u *upload) dropStmts(o output) []*wire.Stmt {
	if o.storage == storageChunks || !u.begun() {
		return nil
	}
	return []*wire.Stmt{u.ledger.stmt(dropSQL+` and exists (select 1 from {s}.record
		where id = $2 and run_id = $1 and state <> 'running' and storage <> 2)`, wire.Text(u.runID), wire.Bytes(u.name))}
}

// dropPieces deletes the pieces of an attempt that is not recorded. If it cannot, they remain
// until the record is forgotten.
func (l *Ledger) dropPieces(ctx context.Context, runID string) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	_ = l.pieces.Do(ctx, wire.Durable, l.stmt(dropSQL, wire.Text(runID)))
}

// sendSpool sends the rest of the output of an attempt whose process has died, from the file
// that it has left in the local directory. The caller has the lock of the kept outcome, so no other
// process sends the output. It removes the file after it has recorded the result.
func (l *Ledger) sendSpool(ctx context.Context, here *local, id ledger.ID, runID string) (output, error) {
	f, err := here.dir.Open(spoolName(runID), os.O_RDONLY, 0)
	if err != nil {
		return output{}, err
	}
	defer f.Close()
	size, sum, err := spool.Scan(f)
	if err != nil {
		return output{}, err
	}
	s := sender{ledger: l, name: nameOf(id), runID: runID, file: f}
	there := l.stmt("select pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.octet_length(frames)), 0)::pg_catalog.int8 from {s}.output where run_id = $1", wire.Text(runID))
	there.Each = func(row *wire.Row) error { s.pieces, s.sent = int(row.Int()), row.Int(); return nil }
	if err := l.do(ctx, wire.Read, there); err != nil {
		return output{}, err
	}
	if s.sent > size {
		return output{}, fmt.Errorf("the file of run %s is shorter than the output that was sent", runID)
	}
	if err := s.send(ctx, size, l.opt.ConnectTimeout); err != nil {
		return output{}, err
	}
	return output{storage: storageChunks, size: size, sum: sum, chunks: s.pieces}, nil
}
