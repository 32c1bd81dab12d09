package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/spool"
)

// incoming is an attempt that Put stores.
type incoming struct {
	row    attemptRow
	inline []byte
	files  []ledger.File
	out    *spool.Copier // nil after its end
	spool  string        // a file that has the output; "" without one
}

// receive reads the history of a record, and writes large outputs to files.
func (l *Ledger) receive(next func() (ledger.Piece, error)) (in []incoming, err error) {
	if next == nil {
		return nil, nil
	}
	for {
		p, err := next()
		if p.Attempt != nil || errors.Is(err, io.EOF) {
			if len(in) > 0 {
				if err := in[len(in)-1].end(); err != nil {
					return in, l.explain(err)
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return in, nil
		case err != nil:
			return in, err
		case p.Attempt != nil:
			in = append(in, incoming{row: attemptRow{a: *p.Attempt}})
			in[len(in)-1].begin(l)
		case p.Chunk != nil:
			if err := in[len(in)-1].out.Add(*p.Chunk); err != nil {
				return in, l.explain(err)
			}
		case p.File != nil:
			now := &in[len(in)-1]
			now.files = append(now.files, *p.File)
		}
	}
}

func (in *incoming) begin(l *Ledger) {
	spooled := &in.spool
	in.out = spool.NewCopier(func() (*os.File, error) {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		*spooled = spoolName(id.String())
		return l.dir.Create(*spooled, os.O_RDWR|os.O_EXCL)
	})
}

// end ends the output.
func (in *incoming) end() error {
	a := in.row.a
	running := a.State == ledger.Running && !a.NoOutput
	if running {
		if err := in.out.Spill(); err != nil {
			return err
		}
	}
	sum, err := in.out.Close()
	in.out = nil
	row := &in.row
	row.a.Files = len(in.files)
	switch {
	case a.NoOutput:
		row.storage = storageRefused
	case !a.OutputRemoved.IsZero():
		row.storage, row.size = storageRemoved, micros(a.OutputRemoved)
	case running:
		row.storage = storageUnknown
	case sum.Inline != nil:
		row.storage, row.size, row.sum, in.inline = storageInline, int64(len(sum.Inline)), sum.Sum, sum.Inline
	default:
		row.storage, row.size, row.sum = storageFile, sum.Size, sum.Sum
	}
	return err
}

// discard removes what is not needed, or no longer.
func (in *incoming) discard(l *Ledger) {
	if in.out != nil {
		in.out.Discard()
	}
	if in.spool != "" {
		_ = l.dir.Remove(in.spool)
	}
}

// nameSpools gives the files of outputs the names that the records will refer to, and returns the
// runs whose names are new. A name can be taken: by the same output, by the output so far of the
// same run, or by a file that no record names.
func (l *Ledger) nameSpools(ctx context.Context, id ledger.ID, in []incoming) (named []string, foreign, own error) {
	db, err := l.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range in {
		n := &in[i]
		if n.spool == "" {
			continue
		}
		runID := n.row.a.RunID
		_, err := l.dir.Stat(spoolName(runID))
		taken := err == nil
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return named, nil, err
		}
		if taken {
			old, err := attemptOf(ctx, db, id, runID)
			switch {
			case errors.Is(err, ledger.ErrNotFound):
				var elsewhere bool
				if err := db.QueryRowContext(ctx, "select exists (select 1 from attempts where run_id = ?)", runID).Scan(&elsewhere); err != nil {
					return named, nil, err
				}
				if elsewhere {
					return named, fmt.Errorf("run %s is recorded under another key", runID), nil
				}
				taken = false // by a Put that was killed
			case err != nil:
				return named, nil, err
			case old.storage == storageFile && n.row.storage == storageFile && old.size == n.row.size && old.sum == n.row.sum:
				continue // the files are equal: their frames have checksums
			case old.storage == storageFile:
				return named, fmt.Errorf("run %s has another output in this ledger", runID), nil
			}
		}
		if err := l.dir.Rename(n.spool, spoolName(runID)); err != nil {
			return named, nil, err
		}
		n.spool = ""
		if !taken {
			named = append(named, runID)
		}
	}
	return named, nil, nil
}
