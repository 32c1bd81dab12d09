package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
)

// The values of attemptRow.storage: where an attempt's output is.
const (
	storageUnknown = 0 // not known yet: in a spool file, if there is one
	storageInline  = 1 // in the table outputs
	storageFile    = 2 // in the file output/<run ID>
	storageNone    = 3 // there was no output, or none could be kept
	storageRefused = 4 // no output was to be kept
	// storageRemoved: RemoveOutputs removed the output. The size is then the time of the removal in
	// microseconds since 1970, so no row needs a further column. An earlier idem takes such an
	// output for a truncated one of which nothing was kept.
	storageRemoved = 5
)

// recordRow is a row of records.
type recordRow struct {
	rowid     int64
	rec       ledger.Record // without Current and Alive
	current   int64         // rowid of the current attempt, 0 for none
	kin       kin
	stored    int64 // the checksum of the stored row that the row was read from
	stale     bool  // the row was forgotten with one above, and still has its history
	unsettled bool  // the current attempt was read, and has not succeeded
	// above is the row of the parent, if the transaction has read it. The next writeRecord
	// uses it.
	above *recordRow
}

// attemptRow is a row of attempts.
type attemptRow struct {
	rowid   int64
	record  int64 // rowid of its record
	a       ledger.Attempt
	storage int
	size    int64
	sum     uint32
	// unstarted names the list of attempts whose commands were not started that the running
	// attempt is in, or was in. It is empty if there is none.
	unstarted string
}

const recordColumns = `r.id, r.namespace, r.key, r.window, r.generation, r.fence, r.attempts, r.current, r.checksum,
	r.parent, r.parent_series, r.series, r.floor, r.done`

const attemptColumns = `a.id, a.record, a.number, a.run_id, a.state, a.reason, a.exit_code, a.signal, a.started, a.ended,
	a.fingerprint, a.host, a.pid, a.user, a.note, a.output_bytes, a.truncated, a.files, a.output_place, a.output_size,
	a.output_sum, a.checksum, a.inputs, a.parent_run`

// scanner is *sql.Rows, *sql.Row or *bulkRow.
type scanner interface{ Scan(dest ...any) error }

func scanRecord(s scanner, more ...any) (r recordRow, err error) {
	if err = s.Scan(append(r.dest(), more...)...); err == nil {
		err = r.verify()
	}
	return r, err
}

// dest receives the recordColumns of a row.
func (r *recordRow) dest() []any {
	id := &r.rec.ID
	return []any{
		&r.rowid, &id.Namespace, &id.Key, &id.Window, &r.rec.Generation, &r.rec.Fence, &r.rec.Attempts, &r.current, &r.stored,
		&r.kin.parent, &r.kin.parentSeries, &r.rec.Series, &r.kin.floor, &r.kin.done,
	}
}

// verify checks the checksum of a row that was read, and sets what is not a column.
func (r *recordRow) verify() error {
	if r.stored != r.checksum() || !r.findParent() {
		return fmt.Errorf("%w: the record of key %q", ledger.ErrCorrupt, r.rec.ID.Key)
	}
	return nil
}

// attemptScan receives the attemptColumns of a row.
type attemptScan struct {
	row            attemptRow
	started, ended int64
	note           string
	inputs         []byte
	sum            int64
	bare           bool // leave out the Inputs of the attempt
	room           digest
}

func (s *attemptScan) dest() []any {
	r, a := &s.row, &s.row.a
	return []any{
		&r.rowid, &r.record, &a.Number, &a.RunID, &a.State, &a.Reason, &a.ExitCode, &a.Signal, &s.started, &s.ended,
		&a.Fingerprint, &a.Owner.Host, &a.Owner.PID, &a.Owner.User, &s.note, &a.OutputBytes, &a.Truncated, &a.Files, &r.storage, &r.size,
		&r.sum, &s.sum, &s.inputs, &a.ParentRun,
	}
}

func (s *attemptScan) attempt(id ledger.ID) (attemptRow, error) {
	r := s.row
	r.a.Started, r.a.Ended = fromMicros(s.started), fromMicros(s.ended)
	r.a.NoOutput = r.storage == storageRefused
	if r.storage == storageRemoved {
		r.a.OutputRemoved = fromMicros(r.size)
	}
	r.setNote(s.note)
	if !s.bare {
		r.a.Inputs = s.inputs
	}
	s.room = r.appendDigest(s.room[:0], id, s.inputs)
	if s.sum != s.room.sum() {
		return r, fmt.Errorf("%w: attempt %d of key %q", ledger.ErrCorrupt, r.a.Number, id.Key)
	}
	return r, nil
}

// Two flags of an output, Incomplete and Redacted, and the name of a list are stored in the
// column of the note, after the note and a zero byte. Version 1 reads such a row as one with
// a longer note. In a numeric column, it would take the flags for damage and refuse every
// list.
const (
	noteEnd        = "\x00"
	noteIncomplete = "i"
	noteRedacted   = "r"
	noteUnstarted  = "u" // the name of the list follows, which has capital letters and digits
)

// storedNote returns the content of the note column.
func (r *attemptRow) storedNote() string {
	a, flags := &r.a, ""
	if a.Incomplete {
		flags += noteIncomplete
	}
	if a.Redacted {
		flags += noteRedacted
	}
	if r.unstarted != "" {
		flags += noteUnstarted + r.unstarted
	}
	if flags == "" && !strings.Contains(a.Note, noteEnd) {
		return a.Note
	}
	return a.Note + noteEnd + flags
}

// setNote is the inverse of storedNote. It ignores unknown flags.
func (r *attemptRow) setNote(stored string) {
	a, flags := &r.a, ""
	a.Note = stored
	if i := strings.LastIndex(stored, noteEnd); i >= 0 {
		a.Note, flags = stored[:i], stored[i+len(noteEnd):]
	}
	flags, r.unstarted, _ = strings.Cut(flags, noteUnstarted)
	a.Incomplete = strings.Contains(flags, noteIncomplete)
	a.Redacted = strings.Contains(flags, noteRedacted)
}

func boolToInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// numberOf returns the rowid of a record: 63 bits of the hash of its ID. So a record is
// found in the table without an index. The index over the names is a second way to find
// it, which is used when the table has no such rowid. If damage hides a key from one of
// the two, the key is refused instead of run again.
//
// Two keys with the same rowid are refused too. With a million keys, the probability of
// such a pair is 1 in 20 million.
func numberOf(id ledger.ID) int64 {
	name := filelock.NameOf(id)
	return int64(binary.BigEndian.Uint64(name[:8]) >> 1)
}

const (
	byNumber = " where r.id=?"
	byEither = byNumber + " or r.namespace=? and r.key=? and r.window=?"
)

func nameArgs(id ledger.ID) []any {
	return []any{numberOf(id), []byte(id.Namespace), []byte(id.Key), []byte(id.Window)}
}

// belongs returns err, or an error if the record that was read is not that of id.
func (r recordRow) belongs(id ledger.ID, err error) error {
	if err == nil && r.rec.ID != id {
		err = fmt.Errorf("%w: the row of key %q is that of key %q", ledger.ErrCorrupt, id.Key, r.rec.ID.Key)
	}
	return err
}

// readBoth reads a record and its current attempt. For a missing record, it returns the
// one that a Begin would create. It reads both with one query, which is the only query of a
// replay of a record without a parent.
func readBoth(ctx context.Context, q querier, id ledger.ID) (recordRow, attemptRow, error) {
	for {
		r, a, again, err := readOnce(ctx, q, id)
		if !again || err != nil {
			return r, a, err
		}
	}
}

// readOnce is readBoth. Its third result reports that another process changed the record
// between two queries, so that it has to be read again.
func readOnce(ctx context.Context, q querier, id ledger.ID) (recordRow, attemptRow, bool, error) {
	var s attemptScan
	r, err := scanRecord(q.QueryRowContext(ctx, "select "+recordColumns+", "+attemptColumns+
		" from records r join attempts a on a.id = r.current"+byNumber, numberOf(id)), s.dest()...)
	if errors.Is(err, sql.ErrNoRows) {
		// Another process may have stored both since the first query. So a single query
		// must decide whether the record exists without its current attempt.
		var exists bool
		r, err = scanRecord(q.QueryRowContext(ctx, "select "+recordColumns+
			", exists (select 1 from attempts a where a.id = r.current) from records r"+byEither, nameArgs(id)...), &exists)
		switch err = r.belongs(id, err); {
		case errors.Is(err, sql.ErrNoRows):
			r, err = newRecord(ctx, q, id)
			return r, attemptRow{}, false, err
		case err != nil:
			return r, attemptRow{}, false, err
		case exists:
			return r, attemptRow{}, true, nil
		}
		again, err := r.resolve(ctx, q)
		if r.current != 0 && !again && err == nil { // the attempts of a stale record are deleted before the record
			err = fmt.Errorf("%w: the current attempt of key %q is gone", ledger.ErrCorrupt, id.Key)
		}
		return r, attemptRow{}, again, err
	}
	if err = r.belongs(id, err); err != nil {
		return r, attemptRow{}, false, err
	}
	// The attempts of a stale record are deleted before the record, and the number of its
	// current one may belong to another record by now.
	if again, err := r.resolve(ctx, q); again || err != nil || r.stale {
		return r, attemptRow{}, again, err
	}
	a, err := s.attempt(id)
	if err == nil && a.record != r.rowid {
		err = fmt.Errorf("%w: the record of key %q", ledger.ErrCorrupt, id.Key)
	}
	r.rec.Current, r.unsettled = a.a, a.a.State != ledger.Succeeded
	return r, a, false, err
}

// writeRecord stores r over the row that it was read from, or inserts it if there was none.
// It returns ledger.ErrChanged if the stored row is no longer the same, or if there is one now.
// It raises the floors of the records above.
func writeRecord(ctx context.Context, tx querier, r *recordRow) error {
	id := r.rec.ID
	if r.rowid == 0 {
		r.rowid = numberOf(id)
		r.stored = r.checksum()
		err := requireOneRow(tx.ExecContext(ctx, `insert into records (id, namespace, key, window, generation, fence, attempts, current, checksum,
			parent, parent_series, series, floor, done) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?) on conflict do nothing`,
			r.rowid, []byte(id.Namespace), []byte(id.Key), []byte(id.Window), r.rec.Generation, r.rec.Fence, r.rec.Attempts, r.current, r.stored,
			r.kin.parent, r.kin.parentSeries, r.rec.Series, r.kin.floor, r.kin.done))
		if err != nil {
			return err
		}
		return r.raiseFloor(ctx, tx)
	}
	if err := updateRecord(ctx, tx, r); err != nil {
		return err
	}
	return r.raiseFloor(ctx, tx)
}

// updateRecord is writeRecord for a record that is stored and whose floor, series, generation
// and fence have not changed.
func updateRecord(ctx context.Context, tx querier, r *recordRow) error {
	touch(tx, r.rowid, !r.unsettled)
	before := r.stored
	r.stored = r.checksum()
	return requireOneRow(tx.ExecContext(ctx, `update records set generation=?, fence=?, attempts=?, current=?, checksum=?,
		parent=?, parent_series=?, series=?, floor=?, done=? where id=? and checksum=?`,
		r.rec.Generation, r.rec.Fence, r.rec.Attempts, r.current, r.stored,
		r.kin.parent, r.kin.parentSeries, r.rec.Series, r.kin.floor, r.kin.done, r.rowid, before))
}

// addAttempt stores row as the current attempt of the record now, and then stores now.
func addAttempt(ctx context.Context, tx querier, now *recordRow, row *attemptRow) error {
	id := now.rec.ID
	row.record = numberOf(id) // valid also for a record that is not stored yet
	if err := insertAttempt(ctx, tx, id, row); err != nil {
		return err
	}
	now.current, now.kin.done = row.rowid, now.doneBy(row.a)
	return writeRecord(ctx, tx, now)
}

// insertAttempt stores a new attempt with the next rowid. The rowids order all attempts of
// the ledger in time without a clock.
func insertAttempt(ctx context.Context, tx querier, id ledger.ID, r *attemptRow) error {
	if err := tx.QueryRowContext(ctx, "select coalesce(max(id),0)+1 from attempts").Scan(&r.rowid); err != nil {
		return err
	}
	a := r.a
	_, err := tx.ExecContext(ctx, `insert into attempts (id, record, number, run_id, state, reason, exit_code, signal, started, ended,
		fingerprint, host, pid, user, note, output_bytes, truncated, files, output_place, output_size, output_sum, checksum, inputs, parent_run)
		values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		r.rowid, r.record, a.Number, a.RunID, a.State, a.Reason, a.ExitCode, a.Signal, micros(a.Started), micros(a.Ended),
		a.Fingerprint, []byte(a.Owner.Host), a.Owner.PID, []byte(a.Owner.User), []byte(r.storedNote()), a.OutputBytes, a.Truncated, a.Files,
		r.storage, r.size, r.sum, r.checksum(id), notNil(a.Inputs), a.ParentRun)
	return err
}

// updateAttempt stores the state, outcome and output of an attempt. It returns
// ledger.ErrChanged if the stored attempt is not in state from.
func updateAttempt(ctx context.Context, tx querier, id ledger.ID, r attemptRow, from ledger.State) error {
	touch(tx, r.record, from == ledger.Succeeded)
	a := r.a
	return requireOneRow(tx.ExecContext(ctx, `update attempts set state=?, reason=?, exit_code=?, signal=?, ended=?, note=?, output_bytes=?, truncated=?, files=?,
		output_place=?, output_size=?, output_sum=?, checksum=? where id=? and run_id=? and state=?`,
		a.State, a.Reason, a.ExitCode, a.Signal, micros(a.Ended), []byte(r.storedNote()), a.OutputBytes, a.Truncated, a.Files,
		r.storage, r.size, r.sum, r.checksum(id), r.rowid, a.RunID, from))
}

// requireOneRow returns err, or ledger.ErrChanged if a guarded write has not changed exactly
// one row: the row was not as the guard expected it.
func requireOneRow(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n != 1 {
		err = ledger.ErrChanged
	}
	return err
}

// notNil returns an empty blob for nil, because nil would be stored as null.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
