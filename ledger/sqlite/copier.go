package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"idem/internal/failpoint"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/localdir"
)

// copier copies a ledger to a part.
type copier struct {
	ledger   *Ledger // the source
	noOutput bool
	outputs  outputs
	archived bool                          // the part also has an archive
	streamed bool                          // the outputs go to a stream, and need no space
	dead     func(ledger.ID) (bool, error) // whether no call holds the key
	lost     func(commits int64) error     // an error if there were more commits
	commits  int64
	copied   ledger.Copied
}

// outputs are the files of the recorded outputs of a copy.
type outputs interface {
	// take copies the output of a run. It returns its size in bytes. The error is
	// fs.ErrNotExist when the file is gone.
	take(runID string) (int64, error)
}

// copy copies the records and the outputs.
func (c *copier) copy(ctx context.Context, p *part) error {
	l := c.ledger
	db, err := l.database(ctx)
	if err == nil && db == nil {
		err = ledger.ErrMissing
	}
	if err != nil {
		return err
	}
	if err := c.fits(p); err != nil {
		return err
	}
	t, witness, err := l.readWitness()
	if err != nil {
		return err
	}
	c.lost = func(commits int64) error { return t.lost(witness, commits) }
	if err := p.put("ledger.db", nil); err != nil { // with the right mode
		return p.explain(err)
	}
	if _, err := db.DB.ExecContext(ctx, "vacuum into ?", p.dir.File("ledger.db")); err != nil {
		if err = l.classify(err); errors.Is(err, ledger.ErrCorrupt) {
			return err
		}
		return p.explain(err)
	}
	failpoint.Here("copy.records")
	return c.settle(ctx, p)
}

// openPart opens the records of a copy, for this process alone. Nothing is durable before
// closePart, and an error leaves the records in an unknown state: the part is then discarded.
func openPart(p *part) (*Ledger, *sql.DB, error) {
	l := &Ledger{dir: p.dir, scripts: migrations, now: time.Now}
	db, err := l.connectRaw()
	if err == nil {
		_, err = db.Exec(`pragma locking_mode=exclusive; pragma journal_mode=delete; pragma journal_mode=off;
			pragma synchronous=off; pragma secure_delete=on; pragma cache_size=-16384`)
	}
	return l, db, err
}

// closePart makes the records of a copy durable, as a ledger has them.
func closePart(p *part, db *sql.DB) error {
	var mode string
	if err := db.QueryRow("pragma journal_mode=wal").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: SQLite offers no write-ahead log here, only %s", ledger.ErrUnsafe, mode)
	}
	if err := db.Close(); err != nil {
		return err
	}
	f, err := p.dir.Open("ledger.db", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	// SQLite leaves the journal, without its header, of a copy that had a write-ahead log before.
	if err := p.dir.Remove("ledger.db-journal"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// settle checks the records of a copy and makes them those of a ledger that no call uses. It
// copies the outputs.
func (c *copier) settle(ctx context.Context, p *part) error {
	_, db, err := openPart(p)
	if err != nil {
		return p.explain(err)
	}
	defer db.Close()
	if err := c.settleRows(ctx, db, p); err != nil {
		return err
	}
	return c.close(ctx, db, p)
}

// close checks the structure of the records of a copy, and makes them durable.
func (c *copier) close(ctx context.Context, db *sql.DB, p *part) error {
	failpoint.Here("copy.outputs")
	if c.noOutput { // gives the space of the outputs back
		if err := each(ctx, db, func(*sql.Rows) error { return nil }, "pragma incremental_vacuum"); err != nil {
			return p.explain(err)
		}
	}
	if err := quickCheck(ctx, db); err != nil {
		return p.explain(err)
	}
	if err := closePart(p, db); err != nil {
		return p.explain(err)
	}
	info, err := p.dir.Lookup("ledger.db")
	if err == nil && info != nil {
		c.copied.Bytes += info.Size()
	}
	return p.explain(err)
}

func quickCheck(ctx context.Context, db *sql.DB) error {
	var answer string
	err := db.QueryRowContext(ctx, "pragma quick_check(1)").Scan(&answer)
	if err == nil && answer != "ok" {
		err = fmt.Errorf("%w: %s", ledger.ErrCorrupt, answer)
	}
	return err
}

func (c *copier) settleRows(ctx context.Context, db *sql.DB, p *part) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return p.explain(err)
	}
	defer tx.Rollback()
	if c.commits, err = commitsOf(ctx, tx); err != nil {
		return p.explain(err)
	}
	if err := c.lost(c.commits); err != nil {
		return err
	}
	// The holders and the lines of mutexes are calls of the copied ledger.
	if _, err := tx.ExecContext(ctx, "delete from mutexes"); err != nil {
		return p.explain(err)
	}
	if err := c.walkAttempts(ctx, tx, p); err != nil {
		return err
	}
	if err := c.checkRecords(ctx, tx); err != nil {
		return err
	}
	if c.noOutput {
		if _, err := tx.ExecContext(ctx, "delete from outputs"); err != nil {
			return p.explain(err)
		}
	}
	return p.explain(tx.Commit())
}

// copyPage is the number of rows that are read at once.
const copyPage = 200

func (c *copier) walkAttempts(ctx context.Context, tx *sql.Tx, p *part) error {
	for last := int64(-1); ; {
		var page []historyRow
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var s attemptScan
			r, err := scanRecord(rows, s.dest()...)
			if err != nil {
				return err
			}
			a, err := s.attempt(r.rec.ID)
			page = append(page, historyRow{r, a})
			return err
		}, "select "+recordColumns+", "+attemptColumns+` from attempts a cross join records r on r.id = a.record
			where a.id > ? order by a.id limit ?`, last, copyPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, row := range page {
			if err := c.settleAttempt(ctx, tx, p, row.r, row.a); err != nil {
				return err
			}
		}
		last = page[len(page)-1].a.rowid
	}
}

// settleAttempt copies the output of an attempt. Its errors are those of the copied ledger or
// of the part.
func (c *copier) settleAttempt(ctx context.Context, tx *sql.Tx, p *part, r recordRow, a attemptRow) error {
	was := a.a.State
	changed, err := c.takeOutput(p, &a)
	if err != nil {
		return err
	}
	if was == ledger.Running && a.unstarted != "" {
		// The list of attempts that were not started belongs to the copied ledger, in which
		// this one may start. If its batch has died, it never will.
		dead, err := c.dead(r.rec.ID)
		if err != nil {
			return err
		}
		if dead && a.neverStarted() {
			_, _, err := r.abandon(ctx, tx, a)
			return p.explain(err)
		}
		a.unstarted, changed = "", true
	}
	if was == ledger.Running && r.current == a.rowid {
		c.copied.Unended = append(c.copied.Unended, r.rec.ID)
	}
	if changed {
		return p.explain(updateAttempt(ctx, tx, r.rec.ID, a, was))
	}
	return nil
}

// takeOutput copies the output of an attempt, and reports whether it has changed the row.
func (c *copier) takeOutput(p *part, a *attemptRow) (bool, error) {
	has := a.storage == storageFile || a.storage == storageInline && a.size > 0
	unknown := a.storage == storageUnknown // in a file, if there is one
	switch {
	case c.noOutput && (has || unknown && a.a.State != ledger.Running):
		c.copied.Removed++
		a.setRemoved(c.ledger.now())
		return true, nil
	case c.noOutput, a.storage != storageFile && !unknown:
		return false, nil
	}
	size, err := c.outputs.take(a.a.RunID)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !has: // it has written nothing, or has ended since
		return false, nil
	case errors.Is(err, fs.ErrNotExist):
		c.copied.Gone++
		a.setRemoved(c.ledger.now())
		return true, nil
	case err != nil:
		return false, p.explain(err)
	}
	if has && size != a.size {
		c.copied.Damaged++
	}
	c.copied.Outputs++
	c.copied.Bytes += size
	return false, nil
}

// checkRecords reads each record of a copy, and checks that it has its current attempt.
func (c *copier) checkRecords(ctx context.Context, tx *sql.Tx) error {
	c.copied.Keys = 0
	return each(ctx, tx, func(rows *sql.Rows) error {
		var exists bool
		r, err := scanRecord(rows, &exists)
		switch {
		case err != nil || r.current == 0:
			return err
		case !exists && r.kin.parent == 0: // those of a stale record are deleted before it
			return fmt.Errorf("%w: the current attempt of key %q is gone", ledger.ErrCorrupt, r.rec.ID.Key)
		}
		c.copied.Keys++
		return nil
	}, "select "+recordColumns+", exists (select 1 from attempts a where a.id = r.current and a.record = r.id) from records r")
}

// complete adds the remaining files to a copy in a directory, and makes all of it durable.
// The locks are created last: with them, it is a ledger.
func (c *copier) complete(p *part) error {
	if err := c.addFiles(p); err != nil {
		return err
	}
	return completeLocks(p.dir, c.commits)
}

func (c *copier) addFiles(p *part) error {
	if c.ledger.dir != p.dir {
		secret, err := c.ledger.secretIfAny()
		if err == nil && secret != nil {
			err = p.put("secret", secret)
		}
		if err != nil {
			return err
		}
	}
	for name, content := range map[string]string{"README": readme, "init.lock": ""} {
		if err := p.put(name, []byte(content)); err != nil {
			return err
		}
	}
	if err := p.dir.Mkdir("output"); err != nil {
		return err
	}
	return errors.Join(p.dir.Sync("output"), p.dir.Sync("."))
}

// completeLocks creates the locks of a copy with that many commits.
func completeLocks(dir *localdir.Dir, commits int64) error {
	failpoint.Here("copy.files")
	if err := filelock.New(dir).Create(witnessOf(commits)); err != nil {
		return err
	}
	return dir.Sync(".")
}

// dirOutputs copies outputs to a directory.
type dirOutputs struct{ from, to *localdir.Dir }

func (o *dirOutputs) take(runID string) (int64, error) {
	from, err := openOutputFile(o.from, runID)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	if err := o.to.Mkdir("output"); err != nil {
		return 0, err
	}
	to, err := o.to.Create(spoolName(runID), os.O_WRONLY|os.O_EXCL)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(to, from)
	return n, errors.Join(err, to.Sync(), to.Close())
}

// openOutputFile opens the file of an output. It refuses anything but a plain file.
func openOutputFile(dir *localdir.Dir, runID string) (*os.File, error) {
	f, err := dir.Open(spoolName(runID), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is not a plain file", ledger.ErrForeign, f.Name())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
