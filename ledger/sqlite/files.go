package sqlite

import (
	"context"
	"crypto/sha256"
	"fmt"

	"idem/ledger"
)

// insertFiles stores the files of an attempt.
func insertFiles(ctx context.Context, tx querier, id ledger.ID, a attemptRow, files []ledger.File) error {
	for i, f := range files {
		_, err := tx.ExecContext(ctx, `insert into files (attempt, position, name, place, lost, checksum, content)
			values (?,?,?,?,?,?,?)`, a.rowid, i, []byte(f.Name), f.Place, f.Lost, fileSum(id, a, i, f), notNil(f.Content))
		if err != nil {
			return err
		}
	}
	return nil
}

func fileSum(id ledger.ID, a attemptRow, position int, f ledger.File) int64 {
	content := sha256.Sum256(f.Content)
	var d digest
	d.text(id.Namespace, id.Key, id.Window, a.a.RunID, f.Name, string(content[:]))
	d.numbers(a.rowid, int64(position), int64(f.Place), boolToInt(f.Lost))
	return d.sum()
}

// Files implements ledger.Ledger.
func (l *Ledger) Files(ctx context.Context, id ledger.ID, runID string) ([]ledger.File, error) {
	db, err := l.database(ctx)
	if err != nil {
		return nil, l.explain(err)
	}
	if db == nil {
		return nil, ledger.ErrNotFound
	}
	a, err := l.attempt(ctx, db, id, runID)
	if err != nil || a.a.Files == 0 {
		return nil, l.explain(err)
	}
	files, err := readFiles(ctx, db, id, a)
	if err != nil {
		// The files are damaged, or the attempt was forgotten at the same time.
		if _, attemptErr := attemptOf(ctx, db, id, runID); attemptErr != nil {
			err = attemptErr
		}
		return nil, l.explain(err)
	}
	return files, nil
}

func readFiles(ctx context.Context, q querier, id ledger.ID, a attemptRow) ([]ledger.File, error) {
	rows, err := q.QueryContext(ctx, "select position, name, place, lost, checksum, content from files where attempt=? order by position", a.rowid)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	damaged := fmt.Errorf("%w: the files of run %s", ledger.ErrCorrupt, a.a.RunID)
	var files []ledger.File
	for rows.Next() {
		var f ledger.File
		var position int
		var name []byte
		var sum int64
		if err := rows.Scan(&position, &name, &f.Place, &f.Lost, &sum, &f.Content); err != nil {
			return nil, err
		}
		f.Name = string(name)
		if position != len(files) || sum != fileSum(id, a, position, f) {
			return nil, damaged
		}
		files = append(files, f)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(files) != a.a.Files {
		return nil, damaged
	}
	return files, nil
}
