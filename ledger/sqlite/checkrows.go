package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"idem/ledger"
)

// checkPage is the number of rows that a statement reads. Between two statements, no read
// transaction is open, so the write-ahead log can be restarted.
const checkPage = 500

// rows examines each record, each attempt and each output.
func (c *checker) rows(ctx context.Context) error {
	if c.quick {
		return nil
	}
	// The files are listed first, so the list has no file of a later attempt.
	if err := c.files.list(c.ledger.dir); err != nil {
		c.fault("outputs", fmt.Errorf("%w: %w", ledger.ErrCorrupt, err), "the directory of the outputs cannot be read: %v", err)
	}
	records, err := c.records(ctx)
	if err = c.unreadable("records", err); err != nil {
		return err
	}
	attempts, err := c.attempts(ctx)
	if err = c.unreadable("attempts", err); err != nil {
		return err
	}
	if !c.has("records") && !c.has("attempts") {
		c.Add(ledger.LevelOK, "records", "%d, with %d attempts and marks", records, attempts)
	}
	c.files.report(&c.Report)
	return nil
}

// has reports whether there is a fault of a name.
func (c *checker) has(name string) bool {
	for _, l := range c.Lines {
		if l.Name == name && l.Level == ledger.LevelFault {
			return true
		}
	}
	return false
}

// unreadable adds a line for an error that is damage, and returns any other error.
func (c *checker) unreadable(name string, err error) error {
	if err = c.ledger.classify(err); !errors.Is(err, ledger.ErrCorrupt) {
		return err
	}
	c.fault(name, err, "not all of them can be read: %v", err)
	return nil
}

// records examines the rows of records. It returns their number.
func (c *checker) records(ctx context.Context) (n int, err error) {
	for last, more := int64(0), true; more; {
		var page, suspects []recordRow
		err = each(ctx, c.db(), func(rows *sql.Rows) error {
			var current bool
			r, err := scanRecord(rows, &current)
			last = r.rowid
			page = append(page, r)
			switch {
			case err == nil && r.rowid != numberOf(r.rec.ID):
				err = fmt.Errorf("%w: the record of key %q has the number of another key", ledger.ErrCorrupt, r.rec.ID.Key)
			case err == nil && !current:
				suspects = append(suspects, r)
			}
			if errors.Is(c.ledger.classify(err), ledger.ErrCorrupt) {
				c.fault("records", err, "%s: the record is damaged; its calls are refused (69)", keyText(r.rec.ID))
				err = nil
			}
			return err
		}, "select "+recordColumns+`, r.current=0 or exists (select 1 from attempts a where a.id=r.current and a.record=r.id)
			from records r where r.id>? order by r.id limit ?`, last, checkPage)
		if err != nil {
			return n, err
		}
		for _, r := range suspects { // it may have changed, or was forgotten with a record above it
			_, _, err := readBoth(ctx, c.db(), r.rec.ID)
			if err = c.ledger.classify(err); errors.Is(err, ledger.ErrCorrupt) {
				c.fault("records", err, "%s: its latest attempt is gone; its calls are refused (69)", keyText(r.rec.ID))
			} else if err != nil {
				return n, err
			}
		}
		n += len(page)
		more = len(page) == checkPage
	}
	return n, nil
}

// checkedAttempt is an attempt with the record that it belongs to.
type checkedAttempt struct {
	attemptRow
	id      ledger.ID
	decides bool // it is the current one of its record
	err     error
}

// name describes the attempt in a line.
func (a checkedAttempt) name() string {
	if a.a.Number == 0 {
		return keyText(a.id) + ": a mark"
	}
	return fmt.Sprintf("%s: attempt %d", keyText(a.id), a.a.Number)
}

// attempts examines the rows of attempts, and their outputs. It returns the number of rows.
func (c *checker) attempts(ctx context.Context) (n int, err error) {
	var outputs, bytes int64
	for last, more := int64(0), true; more; {
		page, err := c.attemptPage(ctx, last)
		if err != nil {
			return n, err
		}
		for _, a := range page {
			last = a.rowid
			c.files.keep(a.attemptRow)
			if err := c.attempt(ctx, a); err != nil {
				return n, err
			}
			if a.size > 0 && a.storage != storageRemoved {
				outputs, bytes = outputs+1, bytes+a.size
			}
		}
		n += len(page)
		more = len(page) == checkPage
	}
	if !c.has("outputs") {
		c.Add(ledger.LevelOK, "outputs", "%d, with %d bytes", outputs, bytes)
	}
	return n, nil
}

// attemptPage reads the attempts that follow a number.
func (c *checker) attemptPage(ctx context.Context, after int64) (page []checkedAttempt, err error) {
	err = each(ctx, c.db(), func(rows *sql.Rows) error {
		var s attemptScan
		var a checkedAttempt
		var namespace, key, window []byte
		var known bool
		err := rows.Scan(append(s.dest(), &namespace, &key, &window, &known, &a.decides)...)
		a.attemptRow, a.err = s.row, c.ledger.classify(err)
		if err == nil {
			a.id = ledger.ID{Namespace: string(namespace), Key: string(key), Window: string(window)}
			a.attemptRow, a.err = s.attempt(a.id)
		}
		if a.err == nil && !known {
			a.err = fmt.Errorf("%w: attempt %s belongs to no record", ledger.ErrCorrupt, a.a.RunID)
		}
		page = append(page, a)
		if errors.Is(a.err, ledger.ErrCorrupt) {
			return nil
		}
		return a.err
	}, "select "+attemptColumns+`, coalesce(r.namespace, x''), coalesce(r.key, x''), coalesce(r.window, x''), r.id is not null, coalesce(r.current=a.id, 0)
		from attempts a left join records r on r.id=a.record where a.id>? order by a.id limit ?`, after, checkPage)
	return page, err
}

// attempt adds lines about the damage of an attempt. The error is one of another kind.
func (c *checker) attempt(ctx context.Context, a checkedAttempt) error {
	err := a.err
	if err == nil && a.a.Files > 0 {
		_, err = readFiles(ctx, c.db(), a.id, a.attemptRow)
		err = c.unlessChanged(ctx, a, err)
	}
	switch {
	case errors.Is(err, ledger.ErrCorrupt) && a.decides:
		c.fault("records", err, "%s is damaged; its calls are refused (69)", a.name())
	case errors.Is(err, ledger.ErrCorrupt):
		c.fault("records", err, "%s is damaged; its history cannot be shown (69)", a.name())
	}
	if err != nil {
		return unlessCorrupt(err)
	}
	switch err = c.output(ctx, a); {
	case errors.Is(err, ledger.ErrCorrupt) && a.decides:
		c.fault("outputs", err, "%s: %v; a replay of it is refused (69), and the key does not run again", a.name(), faultText(err))
	case errors.Is(err, ledger.ErrCorrupt):
		c.fault("outputs", err, "%s: %v; idem logs --attempt %d is refused (69)", a.name(), faultText(err), a.a.Number)
	}
	return unlessCorrupt(err)
}

// output examines the output of an attempt.
func (c *checker) output(ctx context.Context, a checkedAttempt) error {
	c.ledger.recent.Store(&recentAttempt{attemptRow: a.attemptRow}) // else it would be read again
	out, err := c.ledger.output(ctx, c.db(), a.id, a.a.RunID)
	if err == nil {
		_, err = out.Check()
		_ = out.Close()
	}
	return c.unlessChanged(ctx, a, c.ledger.classify(err))
}

// unlessChanged returns err, or nil if the attempt is no longer as it was read: it was
// forgotten, or its output was removed.
func (c *checker) unlessChanged(ctx context.Context, a checkedAttempt, err error) error {
	if err == nil {
		return nil
	}
	now, readErr := attemptOf(ctx, c.db(), a.id, a.a.RunID)
	if errors.Is(readErr, ledger.ErrNotFound) || readErr == nil && now.checksum(a.id) != a.checksum(a.id) {
		return nil
	}
	return err
}

func unlessCorrupt(err error) error {
	if errors.Is(err, ledger.ErrCorrupt) {
		return nil
	}
	return err
}

// faultText describes damage without saying that it is damage.
func faultText(err error) string {
	if fault := (*ledger.Fault)(nil); errors.As(err, &fault) {
		return fault.Text
	}
	return err.Error()
}

// keyText names a record in a line.
func keyText(id ledger.ID) string {
	text := fmt.Sprintf("key %q", id.Key)
	if id.Window != "" {
		text += fmt.Sprintf(" in window %q", id.Window)
	}
	if id.Namespace != "default" {
		text += fmt.Sprintf(" of namespace %q", id.Namespace)
	}
	return text
}
