package postgres

import (
	"strings"
	"time"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/wire"
)

// The values of the column storage: where the output of an attempt is.
const (
	storageUnknown = 0 // not known yet; pieces may be in the table output
	storageInline  = 1 // in the column inline
	storageChunks  = 2 // in the table output
	storageNone    = 3 // there was no output, or none could be kept
	storageRefused = 4 // no output was to be kept
	// storageRemoved: RemoveOutputs removed the output. The column size is then the time of the
	// removal in microseconds since 1970. An earlier idem takes such an output for a truncated one of
	// which nothing was kept.
	storageRemoved = 5
)

// record is a row of the table record.
type record struct {
	stored bool          // there is a row
	rec    ledger.Record // Alive is not set
	seq    int64         // 0 without a history
	// generation is that of the row, which rec.Generation need not be: see family.resolve.
	generation int64
	done       int64
	parent     []byte // the name of the parent
	series     int64  // parent_series
	lease      lease
	out        output
	inline     []byte   // only if it was selected
	stale      bool     // see family.go
	spools     []string // attempts of a dropped history that may have files on this host
}

// output describes the recorded output of an attempt.
type output struct {
	storage int
	size    int64
	sum     uint32
	chunks  int
}

// lease is the claim in a row of record, as the server sees it.
type lease struct {
	holder wire.UUID // zero: free
	site   wire.UUID
	host   string
	pid    int
	length time.Duration
	age    time.Duration // since the last renewal
	left   time.Duration // until the end; negative after it
	kept   bool          // after the end, only a person may free the key
}

// valid reports whether a holder has the key, as far as the server knows.
func (l lease) valid() bool { return l.holder != wire.UUID{} && l.left > 0 }

// attemptColumns are the columns that record and attempt have in common, without inline.
var attemptColumns = []string{
	"number", "run_id", "state", "reason", "exit_code", "signal", "started", "ended", "fingerprint", "host", "pid", "usr", "note",
	"output_bytes", "truncated", "incomplete", "redacted", "files", "storage", "size", "sum", "chunks", "parent_run", "inputs",
}

// columnsOf returns columns, each with a prefix.
func columnsOf(prefix string, columns []string) string {
	return prefix + strings.Join(columns, ", "+prefix)
}

// recordColumns are the time of the server and the columns of the row r that scanRecord reads: all
// but inline, which is the last one.
var recordColumns = "pg_catalog.clock_timestamp(), " + columnsOf("r.", append([]string{
	"id", "namespace", "key", "win", "generation", "fence", "attempts", "seq", "parent", "parent_series", "series", "done",
	"holder", "site", "claim_host", "claim_pid", "lease", "renewed", "lease_until", "takeover",
}, attemptColumns...))

func scanRecord(row *wire.Row) record { return scanColumns(row, row.Time()) }

// scanWhole reads the time of the server and a whole row of the table record. A whole row costs
// the server much less than its columns by name. All columns are in the order of the table, to
// which later formats only append.
func scanWhole(row *wire.Row) (r record, err error) {
	now, whole := row.Time(), row.Whole()
	if whole == nil {
		return r, row.Err()
	}
	r = scanColumns(whole, now)
	r.inline = whole.Bytes()
	return r, whole.Err()
}

func scanColumns(row *wire.Row, now time.Time) record {
	r := record{stored: true}
	row.Bytes() // the name
	r.rec.ID = ledger.ID{Namespace: row.Text(), Key: row.Text(), Window: row.Text()}
	r.rec.Generation, r.rec.Fence, r.rec.Attempts, r.seq = row.Int(), row.Int(), int(row.Int()), row.Int()
	r.parent, r.series, r.rec.Series, r.done = row.Bytes(), row.Int(), row.Int(), row.Int()
	r.generation = r.rec.Generation
	l := &r.lease
	l.holder, l.site, l.host, l.pid = row.ID(), row.ID(), row.Text(), int(row.Int())
	l.length = micros(row.Int())
	if renewed, end := row.Time(), row.Time(); !end.IsZero() {
		l.age, l.left = now.Sub(renewed), end.Sub(now)
	}
	free := row.Null()
	l.kept = !row.Bool() && !free
	r.rec.Current, r.out = scanAttempt(row)
	r.rec.Parent = parentOf(r.rec.ID, r.parent)
	return r
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// scanAttempt reads attemptColumns.
func scanAttempt(row *wire.Row) (a ledger.Attempt, o output) {
	a.Number, a.RunID, a.State, a.Reason = int(row.Int()), row.Text(), ledger.State(row.Text()), ledger.Reason(row.Text())
	a.ExitCode, a.Signal, a.Started, a.Ended = int(row.Int()), int(row.Int()), row.Time(), row.Time()
	a.Fingerprint = row.Text()
	a.Owner.Host, a.Owner.PID, a.Owner.User, a.Note = row.Text(), int(row.Int()), row.Text(), row.Text()
	a.OutputBytes, a.Truncated, a.Incomplete, a.Redacted = row.Int(), row.Bool(), row.Bool(), row.Bool()
	a.Files = int(row.Int())
	o.storage, o.size, o.sum, o.chunks = int(row.Int()), row.Int(), uint32(row.Int()), int(row.Int())
	a.ParentRun, a.Inputs = row.Text(), row.Bytes()
	a.NoOutput = o.storage == storageRefused
	if o.storage == storageRemoved {
		a.OutputRemoved = time.UnixMicro(o.size).UTC()
	}
	return a, o
}

// attemptArgs returns the parameters for attemptColumns, in their order.
func attemptArgs(a ledger.Attempt, o output) []wire.Arg {
	return []wire.Arg{
		wire.Int(a.Number), wire.Text(a.RunID), wire.Text(string(a.State)), wire.Text(string(a.Reason)), wire.Int(a.ExitCode), wire.Int(a.Signal),
		wire.TimeOrNull(a.Started), wire.TimeOrNull(a.Ended), wire.Raw(a.Fingerprint), wire.Raw(a.Owner.Host), wire.Int(a.Owner.PID),
		wire.Raw(a.Owner.User), wire.Raw(a.Note), wire.Int(a.OutputBytes), wire.Bool(a.Truncated), wire.Bool(a.Incomplete), wire.Bool(a.Redacted),
		wire.Int(a.Files), wire.Int(o.storage), wire.Int(o.size), wire.Int(o.sum), wire.Int(o.chunks), wire.Text(a.ParentRun), wire.Bytes(a.Inputs),
	}
}

// nameOf returns the primary key of a record.
func nameOf(id ledger.ID) []byte {
	n := filelock.NameOf(id)
	return n[:]
}
