package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"idem/ledger"
)

// GoneOutputs implements ledger.Repairing. It leaves out the outputs of damaged rows, about which
// nothing is known.
func (l *Ledger) GoneOutputs(ctx context.Context) (gone []ledger.StoredOutput, left int, err error) {
	gone, left, err = l.goneOutputs(ctx)
	return gone, left, l.explain(err)
}

func (l *Ledger) goneOutputs(ctx context.Context) (gone []ledger.StoredOutput, left int, err error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return nil, 0, err
	}
	for after, more := int64(0), true; more; {
		n := 0
		err := each(ctx, db, func(rows *sql.Rows) error {
			n++
			var s attemptScan
			var a attemptRow
			r, err := scanRecord(rows, s.dest()...)
			after = max(after, s.row.rowid)
			if err == nil {
				a, err = s.attempt(r.rec.ID)
			}
			if errors.Is(l.classify(err), ledger.ErrCorrupt) {
				return nil
			}
			if err == nil {
				_, err = os.Lstat(l.dir.File(spoolName(a.a.RunID)))
			}
			switch {
			case err == nil:
				left++
			case errors.Is(err, fs.ErrNotExist):
				gone, err = append(gone, ledger.StoredOutput{ID: r.rec.ID, RunID: a.a.RunID, Bytes: a.size, Ref: a.rowid}), nil
			}
			return err
		}, "select "+recordColumns+", "+attemptColumns+` from attempts a cross join records r on r.id=a.record
			where a.id>? and a.output_place=? order by a.id limit ?`, after, storageFile, storedPage)
		if err != nil {
			return nil, 0, err
		}
		more = n == storedPage
	}
	if len(gone) > 0 { // asked last, so it was there when the files were looked for
		if info, err := os.Stat(l.dir.File("output")); err != nil || !info.IsDir() {
			return nil, 0, fmt.Errorf("%w: the directory %s, with all outputs, is gone", ledger.ErrCorrupt, l.dir.File("output"))
		}
	}
	return gone, left, nil
}
