package sqlite

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"idem/ledger"
)

// TestBulkReadsAsTheDriver compares all columns of rows that differ in each of them.
func TestBulkReadsAsTheDriver(t *testing.T) {
	t.Parallel()
	db := odd(t)
	const query = "select " + recordColumns + ", " + attemptColumns + " from records r cross join attempts a on a.record = r.id order by a.id"
	type row struct {
		r recordRow
		a attemptRow
	}
	var want, got []row
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var s attemptScan
		r, err := scanRecord(rows, s.dest()...)
		must(t, err)
		a, err := s.attempt(r.rec.ID)
		must(t, err)
		a.a.Inputs = nil
		want = append(want, row{r, a})
	}
	must(t, errors.Join(rows.Err(), rows.Close()))

	s := newRowScan()
	must(t, db.bulk(t.Context(), func(r *bulkRow) error {
		err := s.scan(r)
		got = append(got, row{s.r, s.a})
		return err
	}, query))
	if len(got) != 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// odd returns the database of a ledger whose texts have any bytes.
func odd(t *testing.T) *database {
	l := opened(t, fresh(t))
	child := ledger.ID{Namespace: "n\xff", Key: "a/b\x00c", Window: "w\x00"}
	for i, id := range []ledger.ID{{Namespace: "default", Key: "plain"}, child, {Namespace: "default", Key: "after"}} {
		c, err := l.Claim(t.Context(), id)
		must(t, err)
		start := ledger.Start{RunID: strings.Repeat("r", i), Fingerprint: "h1:f", Inputs: []byte("in\x00puts"), Owner: ledger.Owner{Host: "h\xfe", PID: i, User: "u\x00"}}
		outcome := ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: i}
		if id == child {
			start.Origin.Parent = ledger.ID{Namespace: id.Namespace, Key: "a", Window: id.Window}
			start.RunID, start.MaxOutput = "run", -1
			outcome.Capture = ledger.Capture{Incomplete: true, Redacted: true, Unread: ledger.Gaps{Stdout: 3}}
		}
		e, err := c.Begin(t.Context(), start)
		must(t, err)
		e.Write(ledger.Stdout, []byte("out"))
		_, err = e.Finish(t.Context(), outcome)
		must(t, err)
		must(t, c.Release())
	}
	db, err := l.database(t.Context())
	must(t, err)
	return db
}

// TestBulkArguments checks each type of an argument.
func TestBulkArguments(t *testing.T) {
	t.Parallel()
	var number, small int
	var text, empty string
	var blob []byte
	must(t, odd(t).bulk(t.Context(), func(r *bulkRow) error { return r.Scan(&number, &small, &text, &empty, &blob) },
		"select ?, ?, ?, ?, ?", int64(1)<<40, 7, "te\x00xt", "", []byte("b\xff")))
	if number != 1<<40 || small != 7 || text != "te\x00xt" || empty != "" || string(blob) != "b\xff" {
		t.Errorf("got %d, %d, %q, %q, %q", number, small, text, empty, blob)
	}
}

// TestBulkErrors checks that an error means the same as that of the driver, and that the
// connection works after it.
func TestBulkErrors(t *testing.T) {
	t.Parallel()
	l := opened(t, fresh(t))
	runs(t, l, theKey, "r1", nil, success)
	db, err := l.database(t.Context())
	must(t, err)
	all := func(r *bulkRow) error { return nil }
	if err := db.bulk(t.Context(), all, "select x from records"); !errors.Is(l.classify(err), ledger.ErrCorrupt) || !strings.Contains(err.Error(), "no such column: x (1)") {
		t.Errorf("got %v", err)
	}
	stop := errors.New("stop")
	if err := db.bulk(t.Context(), func(*bulkRow) error { return stop }, "select 1"); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	must(t, db.bulk(t.Context(), all, "select 1"))
}
