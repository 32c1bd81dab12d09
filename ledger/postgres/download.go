package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/postgres/wire"
	"idem/ledger/spool"
)

// pageSQL reads the next pieces: at most 1 MiB together, but at least one.
const pageSQL = `select p.n, p.frames from (select o.n, o.frames, pg_catalog.sum(pg_catalog.octet_length(o.frames)) over (order by o.n) as total
		from {s}.output o where o.run_id = $1 and o.n >= $2 and o.n < $2 + 1000) p
	where p.total <= 1048576 or p.n = $2 order by p.n`

// pages are the pieces of one output, which are read in order.
type pages struct {
	runID string
	next  int         // the number of the next piece
	size  int64       // bytes so far
	to    io.WriterAt // receives them
}

// stmt reads the next page.
func (p *pages) stmt(l *Ledger) *wire.Stmt {
	s := l.stmt(pageSQL, wire.Text(p.runID), wire.Int(p.next))
	s.Each = func(row *wire.Row) error {
		if n := int(row.Int()); n != p.next {
			return fmt.Errorf("%w: piece %d of the output of run %s is missing", ledger.ErrCorrupt, p.next, p.runID)
		}
		return p.add(row.Bytes())
	}
	return s
}

func (p *pages) add(frames []byte) error {
	if _, err := p.to.WriteAt(frames, p.size); err != nil {
		return err
	}
	p.next, p.size = p.next+1, p.size+int64(len(frames))
	return nil
}

// memory is a small output.
type memory []byte

func (m memory) WriteAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > int64(len(m)) {
		return 0, fmt.Errorf("%w: an output is longer than it was", ledger.ErrCorrupt)
	}
	return copy(m[at:], b), nil
}

// inMemory is the maximum size in bytes of an output that is not read into a file.
const inMemory = 1 << 20

// download reads the output of a finished attempt.
func (l *Ledger) download(ctx context.Context, runID string, o output) (ledger.Output, error) {
	p := pages{runID: runID}
	if o.size <= inMemory {
		m := make(memory, o.size)
		p.to = m
		if err := l.downloadTo(ctx, &p, o); err != nil {
			return nil, err
		}
		return spool.OpenInline(m, o.sum), nil
	}
	f, err := l.unnamed(ctx)
	if err != nil {
		return nil, err
	}
	p.to = f
	if err := l.downloadTo(ctx, &p, o); err != nil {
		_ = f.Close()
		return nil, err
	}
	return spool.OpenFile(f, o.size, o.sum), nil
}

func (l *Ledger) downloadTo(ctx context.Context, p *pages, o output) error {
	for p.next < o.chunks {
		page := p.stmt(l)
		if err := l.do(ctx, wire.Read, page); err != nil {
			return err
		}
		if page.Rows == 0 {
			return fmt.Errorf("%w: the output of run %s is not complete", ledger.ErrCorrupt, p.runID)
		}
	}
	if p.next != o.chunks || p.size != o.size {
		return fmt.Errorf("%w: the output of run %s has another size", ledger.ErrCorrupt, p.runID)
	}
	return nil
}

// unnamed returns a new file without a name. It is in the local directory, if there is one.
func (l *Ledger) unnamed(ctx context.Context) (*os.File, error) {
	here, err := l.openLocal(ctx, false)
	if err != nil {
		return nil, err
	}
	if here != nil {
		return here.dir.Scratch()
	}
	f, err := os.CreateTemp("", "idem-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// live is the output of an attempt that has no recorded end, or had none when it was opened. On
// the host of the attempt, it is the file that the attempt writes. Elsewhere, it is the pieces
// that have reached the server. Both are the same bytes.
type live struct {
	*spool.Reader

	ledger *Ledger
	ctx    context.Context // of the call that opened the output
	name   []byte
	here   *local // nil without a local directory
	pages  pages
	file   *os.File // a copy of the pieces; closed with Reader
	over   bool     // nothing follows
}

func (l *Ledger) follow(ctx context.Context, id ledger.ID, runID string) (ledger.Output, error) {
	here, err := l.openLocal(ctx, false)
	if err != nil {
		return nil, err
	}
	v := &live{ledger: l, ctx: ctx, name: nameOf(id), here: here, pages: pages{runID: runID}}
	v.Reader = spool.Follow(v.open)
	return v, nil
}

// open opens the file that Reader reads, when there is something to read.
func (v *live) open() (*os.File, error) {
	if v.pages.size > 0 {
		return v.file, nil
	}
	if v.here == nil {
		return nil, fs.ErrNotExist
	}
	f, err := os.OpenFile(v.here.dir.File(spoolName(v.pages.runID)), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	v.over = err == nil // the file has everything
	return f, err
}

// Next implements ledger.Output.
func (v *live) Next() (ledger.Chunk, error) {
	for {
		c, err := v.Reader.Next()
		if !errors.Is(err, io.EOF) || v.over {
			return c, err
		}
		more, err := v.more()
		if err != nil {
			return ledger.Chunk{}, v.ledger.explain(err)
		}
		if !more {
			return ledger.Chunk{}, io.EOF
		}
	}
}

// Replay implements ledger.Output.
func (v *live) Replay(stdout, stderr *os.File) error {
	if v.pages.size == 0 {
		if f, err := v.open(); err == nil {
			_ = f.Close() // Reader opens it again
		}
	}
	for more := true; more && !v.over; {
		var err error
		if more, err = v.more(); err != nil {
			return v.ledger.explain(err)
		}
	}
	return v.Reader.Replay(stdout, stderr)
}

// stateSQL reads what is recorded about the output of an attempt.
const stateSQL = `select state, storage, chunks, inline from {s}.record where id = $1 and run_id = $2
	union all select state, storage, chunks, inline from {s}.attempt where id = $1 and run_id = $2 limit 1`

// more copies the pieces that have reached the server since the last call. It reports whether
// there were any.
func (v *live) more() (bool, error) {
	if v.file == nil {
		f, err := v.ledger.unnamed(v.ctx)
		if err != nil {
			return false, err
		}
		v.file, v.pages.to = f, f
	}
	before := v.pages.size
	var now output
	var inline []byte
	known, running := false, false
	state := v.ledger.stmt(stateSQL, wire.Bytes(v.name), wire.Text(v.pages.runID))
	state.Each = func(row *wire.Row) error {
		known, running = true, row.Text() == string(ledger.Running)
		now.storage, now.chunks, inline = int(row.Int()), int(row.Int()), row.Bytes()
		return nil
	}
	// The state is read before the pieces: after the end, there are no later ones.
	if err := v.ledger.do(v.ctx, wire.Read, state, v.pages.stmt(v.ledger)); err != nil {
		return false, err
	}
	switch {
	case !known:
		v.over = true // forgotten
	case running, now.storage == storageUnknown:
	case now.storage == storageChunks:
		v.over = v.pages.next >= now.chunks
	case now.storage == storageInline && int64(len(inline)) > v.pages.size: // the pieces are its beginning
		v.over = true
		if err := v.pages.add(inline[v.pages.size:]); err != nil {
			return false, err
		}
	default:
		v.over = true
	}
	return v.pages.size > before, nil
}

// Close implements ledger.Output.
func (v *live) Close() error {
	err := v.Reader.Close()
	if v.file != nil {
		_ = v.file.Close() // if Reader has not opened it
	}
	return err
}
