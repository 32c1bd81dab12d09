package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"idem/ledger"
	"idem/ledger/localdir"
)

// Size implements ledger.Sized. A file that another process removes at the same time does
// not count.
func (l *Ledger) Size(ctx context.Context) (int64, error) {
	db, err := l.database(ctx)
	if db == nil || err != nil {
		return 0, l.explain(err)
	}
	var total int64
	err = filepath.WalkDir(l.dir.Path(), func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				total += min(info.Size(), localdir.Taken(info)) // receipts is sparse
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return ctx.Err()
		}
		return err
	})
	return total, l.explain(err)
}

// stored returns the number of bytes that the output of an attempt takes.
func (r attemptRow) stored() int64 {
	if r.storage == storageInline || r.storage == storageFile {
		return r.size
	}
	return 0
}

var _ ledger.Sized = (*Ledger)(nil)
