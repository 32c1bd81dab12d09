package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"os"

	"idem/internal/bootid"
	"idem/ledger"
)

// receipt is what a receipt says: the rows of a record and its current attempt, as readBoth
// returns them.
type receipt struct {
	record  recordRow
	attempt attemptRow
	frames  []byte // of an output in ledger.db
	over    bool   // the disk may still have the receipt of another record in the same slot
}

// The kinds of receipts. A running one serves callers that wait for the key.
const (
	receiptNone = iota
	receiptRunning
	receiptSucceeded
)

// A receipt starts with its kind, the flag over, two zero bytes, the length of its content in 4 bytes,
// and the number of its record in 8 bytes. The content and a checksum over all of it follow.
const receiptHead = 16

func headOf(b []byte) (kind byte, over bool, number int64) {
	return b[0], b[1] != 0, int64(binary.BigEndian.Uint64(b[8:]))
}

func setOver(b []byte, over bool) { b[1] = byte(boolToInt(over)) }

// encode returns the bytes of a receipt. It reports false for a record without one, and for one that
// is too large.
func (c receipt) encode() ([]byte, bool) {
	var b []byte
	b = append(b, make([]byte, receiptHead)...)
	id, boot := c.record.rec.ID, ""
	switch c.attempt.a.State {
	case ledger.Succeeded:
		b[0] = receiptSucceeded
	case ledger.Running:
		b[0] = receiptRunning
		var err error
		if boot, err = bootid.Read(); err != nil {
			return nil, false
		}
	default:
		return nil, false
	}
	if c.attempt.storage == storageInline && int64(len(c.frames)) != c.attempt.size {
		return nil, false
	}
	setOver(b, c.over)
	values := append(append([]driver.Value{boot}, c.record.values()...), c.attempt.values(id)...)
	b = appendValues(b, append(values, c.frames)...)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-receiptHead))
	binary.BigEndian.PutUint64(b[8:], uint64(c.record.rowid))
	if b = appendCheck(b); len(b) > receiptSize {
		return nil, false
	}
	return append(b, make([]byte, receiptSize-len(b))...), true // nothing is left of an earlier one
}

// decodeReceipt is the inverse of receipt.encode. boot is that of a running record. ok is false for
// any other content, and for rows that readBoth would refuse.
func decodeReceipt(b []byte) (c receipt, boot string, ok bool) {
	if len(b) < receiptHead {
		return c, "", false
	}
	kind, over, number := headOf(b)
	end := receiptHead + int64(binary.BigEndian.Uint32(b[4:])) + checkSize
	if kind != receiptRunning && kind != receiptSucceeded || end > int64(len(b)) {
		return c, "", false
	}
	content, ok := checked(b[:end])
	if !ok {
		return c, "", false
	}
	values, ok := valuesIn(content[receiptHead:])
	if !ok {
		return c, "", false
	}
	var s attemptScan
	dest := append(append([]any{&boot}, c.record.dest()...), s.dest()...)
	if len(values) != len(dest)+1 {
		return c, "", false
	}
	row := bulkRow{values}
	if row.Scan(append(dest, &c.frames)...) != nil || c.record.verify() != nil {
		return c, "", false
	}
	id := c.record.rec.ID
	a, err := s.attempt(id)
	c.attempt, c.record.rec.Current, c.over = a, a.a, over
	state := ledger.Running
	if kind == receiptSucceeded {
		state = ledger.Succeeded
	}
	whole := a.storage != storageInline || int64(len(c.frames)) == a.size
	same := c.record.rowid == number && number == numberOf(id) && a.record == number && a.rowid == c.record.current
	return c, boot, err == nil && same && a.a.State == state && whole
}

// values returns the recordColumns of a row.
func (r *recordRow) values() []driver.Value {
	id := r.rec.ID
	return []driver.Value{
		r.rowid, id.Namespace, id.Key, id.Window, r.rec.Generation, r.rec.Fence, int64(r.rec.Attempts), r.current, r.checksum(),
		r.kin.parent, r.kin.parentSeries, r.rec.Series, r.kin.floor, r.kin.done,
	}
}

// values returns the attemptColumns of a row.
func (r *attemptRow) values(id ledger.ID) []driver.Value {
	a := &r.a
	return []driver.Value{
		r.rowid, r.record, int64(a.Number), a.RunID, string(a.State), string(a.Reason), int64(a.ExitCode), int64(a.Signal),
		micros(a.Started), micros(a.Ended), a.Fingerprint, a.Owner.Host, int64(a.Owner.PID), a.Owner.User, r.storedNote(),
		a.OutputBytes, boolToInt(a.Truncated), int64(a.Files), int64(r.storage), r.size, int64(r.sum), r.checksum(id), a.Inputs, a.ParentRun,
	}
}

// The types of the values in a receipt.
const (
	typeNumber = 'n'
	typeText   = 't'
)

// appendValues appends each value after its type: a number as a varint, a text after its length.
func appendValues(b []byte, values ...driver.Value) []byte {
	text := func(n int) { b = binary.AppendUvarint(append(b, typeText), uint64(n)) }
	for _, v := range values {
		switch v := v.(type) {
		case int64:
			b = binary.AppendVarint(append(b, typeNumber), v)
		case string:
			text(len(v))
			b = append(b, v...)
		case []byte:
			text(len(v))
			b = append(b, v...)
		}
	}
	return b
}

// valuesIn is the inverse of appendValues. It reports false for anything else.
func valuesIn(b []byte) (values []driver.Value, ok bool) {
	for len(b) > 0 {
		kind := b[0]
		switch b = b[1:]; kind {
		case typeNumber:
			v, n := binary.Varint(b)
			if n <= 0 {
				return nil, false
			}
			values, b = append(values, v), b[n:]
		case typeText:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return nil, false
			}
			values, b = append(values, b[n:n+int(size)]), b[n+int(size):]
		default:
			return nil, false
		}
	}
	return values, true
}

// openReceipts opens the receipts. It reports false if they need not be what ledger.db says.
func (l *Ledger) openReceipts() (f *os.File, ok bool) {
	if _, found := l.dir.Pinned("ledger.db"); !found || l.asIs { // the place was not checked yet
		return nil, false
	}
	f, err := openReceiptsIn(l.dir, os.O_RDONLY)
	if err != nil {
		return nil, false
	}
	s, _ := readStamp(f)
	if s.commits < 0 || s.version != len(l.scripts) || !l.isCurrent(s) {
		f.Close()
		return nil, false
	}
	return f, true
}

// isCurrent reports whether nothing was committed since a stamp was made.
func (l *Ledger) isCurrent(s stamp) bool {
	database, wal, err := looks(l.dir)
	if err != nil || database != s.database || wal != s.wal {
		return false
	}
	_, commits, err := l.readWitness()
	return err == nil && commits == s.commits
}

// readReceipt returns the receipt of the record with a number. It reports false if there is none.
// If a transaction replaces what a receipt says, it erases the receipt before its commit. So a
// receipt was true when it was read.
func readReceipt(f *os.File, number int64) (c receipt, ok bool) {
	b := make([]byte, receiptSize)
	n, _ := f.ReadAt(b, receiptOffset(number))
	c, boot, ok := decodeReceipt(b[:n])
	if !ok || c.record.rowid != number {
		return c, false
	}
	// A power cut may have kept a running receipt on the disk, and not the one that replaced it.
	if c.attempt.a.State == ledger.Running {
		now, err := bootid.Read()
		return c, err == nil && now == boot
	}
	return c, true
}

// isStale reports whether a record may belong to an earlier series of one above, whose receipt
// says what its series is. A series never returns, so the answer counts for the time at which the
// receipt of the record was read, too.
func (c receipt) isStale(f *os.File) bool {
	for child := c; child.record.kin.parent != 0; {
		above, ok := readReceipt(f, child.record.kin.parent)
		if !ok || above.record.rec.ID != child.record.rec.Parent || above.record.rec.Series != child.record.kin.parentSeries {
			return true
		}
		child = above
	}
	return false
}

// fromReceipt is Get with the receipts of a record and of those above it.
//
// A running record counts only while its key is held. If its holder has died, ledger.db is asked.
func (l *Ledger) fromReceipt(ctx context.Context, id ledger.ID) (ledger.Record, bool) {
	if l.reader.Load() != nil || ctx.Err() != nil { // a batch has the database open
		return ledger.Record{}, false
	}
	f, ok := l.openReceipts()
	if !ok {
		return ledger.Record{}, false
	}
	defer f.Close()
	c, ok := readReceipt(f, numberOf(id))
	if !ok || c.record.rec.ID != id || c.isStale(f) {
		return ledger.Record{}, false
	}
	rec := c.record.rec
	if rec.Current.State == ledger.Running {
		alive, err := l.alive(id)
		rec.Alive = alive
		return rec, err == nil && alive
	}
	l.recent.Store(&recentAttempt{attemptRow: c.attempt, frames: c.frames, whole: true})
	return rec, true
}

// recentAttempt is a settled attempt that was read.
type recentAttempt struct {
	attemptRow
	frames []byte // its output, if that is in ledger.db and whole is set
	whole  bool   // it was read from its receipt
}

// recentOutput returns the output of the attempt that Get has read from its receipt. It reports
// false if the database has to be asked.
func (l *Ledger) recentOutput(runID string) (ledger.Output, bool) {
	recent := l.recent.Load()
	if recent == nil || !recent.whole || recent.a.RunID != runID {
		return nil, false
	}
	out, err := l.openOutput(context.Background(), nil, recent.attemptRow, recent.frames)
	return out, err == nil
}
