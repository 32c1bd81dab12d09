package postgres

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

func testMark(expect ledger.Record) ledger.Mark {
	return ledger.Mark{Expect: expect, State: ledger.Succeeded, Reason: ledger.ReasonMarked, RunID: uuid.NewString()}
}

// TestMarkWhoseAnswerIsLostIsRecordedOnce loses the answer to the commit, or the commit.
func TestMarkWhoseAnswerIsLostIsRecordedOnce(t *testing.T) {
	for name, lost := range map[string]proxy.Direction{"answer": proxy.ToClient, "commit": proxy.ToServer} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			p := pgtest.Proxy(t, r.server.Addr())
			l := r.open("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, r.schema, "sslmode=disable"))
			c, x := begin(t, l, -1)
			_, err := x.Finish(t.Context(), ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 1})
			must(t, err)
			now, err := c.Record(t.Context())
			must(t, err)
			m := testMark(now)
			m.Stdout, m.MaxOutput = strings.NewReader("paid"), -1
			held := p.Hold(lost, func(kind byte, body []byte) bool { return kind == 'P' && bytes.Contains(body, []byte("commit\x00")) })
			broken := make(chan struct{})
			go func() {
				defer close(broken)
				<-held
				if lost == proxy.ToClient {
					r.until("select state from {s}.record", "succeeded")
				}
				p.Reset()
				p.Heal()
			}()
			a, err := c.Mark(t.Context(), m)
			must(t, err)
			<-broken
			must(t, c.Release())
			if got := r.query("select run_id, state, reason from {s}.record"); got != m.RunID+"|succeeded|marked" || a.RunID != m.RunID || a.Started.IsZero() {
				t.Errorf("got %s and %+v", got, a)
			}
			if n := r.query("select count(*) from {s}.attempt"); n != "1" {
				t.Errorf("%s earlier attempts, want 1", n)
			}
			same(t, outputOf(t, r.open("b", ""), m.RunID), []byte("paid"), "output of the mark")
		})
	}
}

// TestRefusedMarkLeavesNoPieces: a large output is sent before the mark.
func TestRefusedMarkLeavesNoPieces(t *testing.T) {
	r := newRoom(t)
	l := r.open("a", "")
	runOnce(t, l)
	c, err := l.Claim(t.Context(), testID)
	must(t, err)
	m := testMark(ledger.Record{ID: testID, Generation: 1})
	m.Stdout, m.MaxOutput = bytes.NewReader(random(1<<20)), -1
	if _, err := c.Mark(t.Context(), m); !errors.Is(err, ledger.ErrChanged) {
		t.Errorf("got error %v, want ErrChanged", err)
	}
	must(t, c.Release())
	if n := r.query("select count(*) from {s}.output"); n != "0" {
		t.Errorf("%s pieces are left", n)
	}
}

// runOnce runs testID once.
func runOnce(t testing.TB, l *Ledger) {
	c, x := begin(t, l, 0)
	finish(t, c, x)
}

// TestErrorsOfTheLedger checks which error a ledger has that cannot be used.
func TestErrorsOfTheLedger(t *testing.T) {
	for name, test := range map[string]struct {
		change string // executed by the superuser
		read   error  // of Get, List and Attempts
		claim  error
	}{
		"no schema":          {"drop schema {s} cascade", ledger.ErrMissing, ledger.ErrMissing},
		"no table":           {"drop table {s}.record", ledger.ErrCorrupt, ledger.ErrCorrupt},
		"no right":           {"revoke usage on schema {s} from " + pgtest.CI, ledger.ErrDenied, ledger.ErrDenied},
		"no right to write":  {"revoke insert, update on {s}.record from " + pgtest.CI, nil, ledger.ErrDenied},
		"newer, can be read": {"update {s}.meta set format = 2, min_writer = 2", nil, ledger.ErrVersion},
		"newer, cannot be read": {
			"update {s}.meta set format = 2, min_writer = 2, min_reader = 2; alter table {s}.record rename to record2",
			ledger.ErrVersion, ledger.ErrVersion,
		},
		"meta is empty": {"delete from {s}.meta", nil, ledger.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			used := r.open("a", "")
			runOnce(t, used)
			r.query(test.change)
			for which, l := range map[string]*Ledger{"used": used, "new": r.open("b", "")} {
				_, err := l.Get(t.Context(), testID)
				is(t, err, test.read, which+": Get")
				_, err = ledger.Collect(l.List(t.Context(), ledger.Filter{}))
				is(t, err, test.read, which+": List")
				_, err = l.Attempts(t.Context(), testID)
				is(t, err, test.read, which+": Attempts")
				_, err = l.Claim(t.Context(), testID)
				is(t, err, test.claim, which+": Claim")
			}
		})
	}
}

func is(t testing.TB, err, want error, doing string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", doing, err, want)
	}
}
