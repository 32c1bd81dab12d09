package sqlite

import (
	"context"
	"strings"
	"testing"
	"time"

	"idem/ledger"
)

// TestEarlierVersionsReadRows checks that a version without Incomplete and Redacted can
// read the rows of such attempts. It scans truncated as a bool, and computes the checksum
// of a row as this test does.
func TestEarlierVersionsReadRows(t *testing.T) {
	t.Parallel()
	l := opened(t, fresh(t))
	ctx := context.Background()
	id := ledger.ID{Namespace: "default", Key: "k"}
	c, err := l.Claim(ctx, id)
	must(t, err)
	e, err := c.Begin(ctx, ledger.Start{RunID: "r1", MaxOutput: -1})
	must(t, err)
	_, err = e.Finish(ctx, ledger.Outcome{
		State: ledger.Succeeded, Reason: ledger.ReasonExit,
		Capture: ledger.Capture{Incomplete: true, Redacted: true, Unread: ledger.Gaps{Stdout: 3}},
	})
	must(t, err)
	must(t, c.Release())
	rec, err := l.Get(ctx, id)
	must(t, err)
	if a := rec.Current; !a.Incomplete || !a.Redacted || !a.Truncated || a.Note != "" {
		t.Errorf("got %+v", a)
	}

	db, err := l.database(ctx)
	must(t, err)
	var s attemptScan
	var truncated bool
	dest := s.dest()
	dest[16] = &truncated
	must(t, db.QueryRowContext(ctx, "select "+attemptColumns+" from attempts a").Scan(dest...))
	a, r := s.row.a, s.row
	var d digest
	d.text(id.Namespace, id.Key, id.Window, a.RunID, string(a.State), string(a.Reason), a.Fingerprint,
		a.Owner.Host, a.Owner.User, s.note, string(s.inputs))
	d.numbers(r.rowid, r.record, int64(a.Number), int64(a.ExitCode), int64(a.Signal), s.started, s.ended,
		int64(a.Owner.PID), a.OutputBytes, boolToInt(truncated), int64(a.Files), int64(r.storage), r.size, int64(r.sum))
	if !truncated || d.sum() != s.sum {
		t.Errorf("truncated is %t, the checksum %d, want %d", truncated, d.sum(), s.sum)
	}
}

// TestStoredNote checks that setNote returns every note, whatever flags are stored with it.
func TestStoredNote(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, note := range []string{"", "a", "\x00", "\x00ir", "a\x00", "ir"} {
		for flags := range 8 {
			r := attemptRow{a: ledger.Attempt{Note: note, Incomplete: flags&1 != 0, Redacted: flags&2 != 0}}
			if flags&4 != 0 {
				r.unstarted = "IRU234567"
			}
			stored := r.storedNote()
			var got attemptRow
			got.setNote(stored)
			if got.a.Note != note || got.a.Incomplete != r.a.Incomplete || got.a.Redacted != r.a.Redacted || got.unstarted != r.unstarted {
				t.Errorf("%q with %d: stored %q, got %+v", note, flags, stored, got)
			}
			if seen[stored] {
				t.Errorf("%q is stored for two different notes", stored)
			}
			seen[stored] = true
			if flags == 0 && !strings.Contains(note, noteEnd) && stored != note {
				t.Errorf("%q is stored as %q", note, stored)
			}
		}
	}
}

// TestGoldenChecksums checks the rowids and checksums of records. They are the same since
// version 1 of the ledger.
func TestGoldenChecksums(t *testing.T) {
	id := ledger.ID{Namespace: "default", Key: "deploy:prod", Window: "2026-11-22"}
	r := recordRow{rowid: 7, current: 3, rec: ledger.Record{ID: id, Generation: 2, Fence: 5, Attempts: 4}}
	a := attemptRow{rowid: 3, record: 7, storage: 2, size: 40, sum: 9, a: ledger.Attempt{
		Number: 4, RunID: "r", State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3,
		Started: time.UnixMicro(5).UTC(), Fingerprint: "h1:f", Inputs: []byte("inputs"),
		Owner: ledger.Owner{Host: "h", PID: 1, User: "u"}, Note: "n",
	}}
	for name, got := range map[string][2]int64{
		"number of the record":    {numberOf(id), 5873366011224907626},
		"checksum of the record":  {r.checksum(), 4619968384926795673},
		"checksum of the attempt": {a.checksum(id), -7500053396794445946},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %d, want %d", name, got[0], got[1])
		}
	}
}
