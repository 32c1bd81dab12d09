package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"idem/internal/lenprefix"
	"idem/ledger"
	"idem/ledger/postgres/wire"
)

// fileSQL stores a file of an attempt whose outcome was stored before it in the same transaction,
// or by an earlier try.
const fileSQL = `insert into {s}.file (run_id, n, id, name, place, lost, sum, content)
	select $2, $3, $1, $4, $5, $6, $7, $8 from {s}.record r where r.id = $1 and r.run_id = $2 and r.state <> 'running' and r.files = $9
	on conflict (run_id, n) do nothing`

// fileStmts returns statements that store the files of an attempt after its outcome.
func (l *Ledger) fileStmts(id ledger.ID, runID string, files []ledger.File) []*wire.Stmt {
	var all []*wire.Stmt
	for i, f := range files {
		all = append(all, l.stmt(fileSQL, wire.Bytes(nameOf(id)), wire.Text(runID), wire.Int(i), wire.Raw(f.Name), wire.Int(f.Place), wire.Bool(f.Lost),
			wire.Int(fileSum(id, runID, i, f)), wire.Bytes(f.Content), wire.Int(len(files))))
	}
	return all
}

// fileSum returns a checksum of a file, and of where it belongs.
func fileSum(id ledger.ID, runID string, position int, f ledger.File) int64 {
	content := sha256.Sum256(f.Content)
	sum := sha256.Sum256(lenprefix.Append(nil, id.Namespace, id.Key, id.Window, runID, f.Name, string(content[:]),
		strconv.Itoa(position), strconv.Itoa(f.Place), strconv.FormatBool(f.Lost)))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// Files implements ledger.Ledger.
func (l *Ledger) Files(ctx context.Context, id ledger.ID, runID string) ([]ledger.File, error) {
	var count int
	if r := l.recall(id, runID); r != nil {
		count = r.rec.Current.Files
	} else {
		a, err := l.attemptOf(ctx, id, runID)
		if err != nil {
			return nil, err
		}
		count = a.rec.Current.Files
	}
	if count == 0 {
		return nil, nil
	}
	files, err := l.readFiles(ctx, id, runID, count)
	if errors.Is(err, ledger.ErrCorrupt) { // the files are damaged, or were forgotten at the same time
		if _, attemptErr := l.attemptOf(ctx, id, runID); attemptErr != nil {
			err = attemptErr
		}
	}
	return files, l.explain(err)
}

func (l *Ledger) readFiles(ctx context.Context, id ledger.ID, runID string, count int) ([]ledger.File, error) {
	damaged := fmt.Errorf("%w: the files of run %s", ledger.ErrCorrupt, runID)
	var files []ledger.File
	s := l.stmt("select n, name, place, lost, sum, content from {s}.file where run_id = $1 order by n", wire.Text(runID))
	s.Each = func(row *wire.Row) error {
		n := int(row.Int())
		f := ledger.File{Name: row.Text(), Place: int(row.Int()), Lost: row.Bool()}
		sum := row.Int()
		f.Content = row.Bytes()
		if n != len(files) || sum != fileSum(id, runID, n, f) {
			return damaged
		}
		files = append(files, f)
		return nil
	}
	if err := l.do(ctx, wire.Read, s); err != nil {
		return nil, err
	}
	if len(files) != count {
		return nil, damaged
	}
	return files, nil
}
