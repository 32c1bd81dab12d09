package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// room is a ledger on the shared server.
type room struct {
	testing.TB
	server *pgtest.Server
	schema string
	base   string
}

func newRoom(t testing.TB) *room {
	r := &room{TB: t, server: pgtest.Shared(t), base: t.TempDir()}
	must(t, os.Chmod(r.base, 0o700))
	r.schema = r.server.NewSchema(t)
	must(t, initialize(t.Context(), r.server.URL(pgtest.Owner, pgtest.Database, r.schema), InitOptions{Grant: []string{pgtest.CI}}))
	return r
}

// open opens a handle of a host. Hosts with the same name share a local directory.
func (r *room) open(host, place string) *Ledger {
	if place == "" {
		place = r.server.URL(pgtest.CI, pgtest.Database, r.schema)
	}
	l, err := Open(place, Options{LocalBase: filepath.Join(r.base, host)})
	must(r, err)
	r.Cleanup(func() { must(r, l.Close()) })
	return l
}

// query returns the result of a query of the tables {s}.X.
func (r *room) query(sql string) string {
	return r.server.Query(r, strings.ReplaceAll(sql, "{s}", r.schema))
}

// until waits for a query to have a result.
func (r *room) until(sql, want string) {
	for r.query(sql) != want {
		time.Sleep(20 * time.Millisecond)
	}
}

var testID = ledger.ID{Namespace: "n", Key: "k"}

func begin(t testing.TB, l *Ledger, keep int64) (ledger.Claim, ledger.Execution) {
	c, err := l.Claim(t.Context(), testID)
	must(t, err)
	x, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString(), MaxOutput: keep})
	must(t, err)
	return c, x
}

var testSuccess = ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit}

func finish(t testing.TB, c ledger.Claim, x ledger.Execution) ledger.Attempt {
	a, err := x.Finish(t.Context(), testSuccess)
	must(t, err)
	must(t, c.Release())
	return a
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// next returns the pieces that there are now.
func next(t testing.TB, out ledger.Output) (all []byte) {
	for {
		c, err := out.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		all = append(all, c.Bytes...)
	}
}

func outputOf(t testing.TB, l *Ledger, runID string) []byte {
	out, err := l.Output(t.Context(), testID, runID)
	must(t, err)
	defer out.Close()
	_, err = out.Check()
	must(t, err)
	return next(t, out)
}

func same(t testing.TB, got, want []byte, what string) {
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: got %d bytes that differ from the wanted %d", what, len(got), len(want))
	}
}

func TestHitWithSmallOutputIsOneRoundTrip(t *testing.T) {
	r := newRoom(t)
	c, x := begin(t, r.open("a", ""), -1)
	want := random(32<<10 - 100)
	x.Write(ledger.Stdout, want)
	a := finish(t, c, x)

	p := pgtest.Proxy(t, r.server.Addr())
	l := r.open("b", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, r.schema, "sslmode=disable"))
	rec, err := l.Get(t.Context(), testID)
	must(t, err)
	same(t, outputOf(t, l, rec.Current.RunID), want, "output")
	if got := p.Counts().Syncs; got != 1 {
		t.Errorf("Get and Output: got %d round trips, want 1", got)
	}
	files, err := l.Files(t.Context(), testID, a.RunID)
	if err != nil || len(files) > 0 {
		t.Errorf("files: got %v, %v, want none", files, err)
	}
	if got := p.Counts(); got.Syncs != 1 || got.Queries != 0 {
		t.Errorf("Get, Output and Files: got %+v, want one round trip", got)
	}
	if _, err := os.Stat(filepath.Join(r.base, "b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a local directory was made: %v", err)
	}
}

// pieceSent matches the message that brings a piece.
func pieceSent(kind byte, body []byte) bool {
	return kind == 'P' && bytes.Contains(body, []byte("output (run_id, n, id, frames)"))
}

// TestPieceWhoseAnswerIsLostIsStoredOnce: the connection breaks after the server got a piece. The
// output has grown when it is tried again, but the same piece is sent.
func TestPieceWhoseAnswerIsLostIsStoredOnce(t *testing.T) {
	r := newRoom(t)
	p := pgtest.Proxy(t, r.server.Addr())
	l := r.open("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, r.schema, "sslmode=disable"))
	_, x := begin(t, l, 0)
	r.query("update {s}.record set storage = 0")
	want := random(3 << 20)
	s := sender{ledger: l, name: nameOf(testID), runID: x.Attempt().RunID, file: bytes.NewReader(want)}
	held := p.Hold(proxy.ToClient, pieceSent)
	go func() {
		<-held
		r.until("select count(*) from {s}.output", "1")
		p.Reset()
		p.Heal()
	}()
	if err := s.send(t.Context(), 100<<10, 0); err == nil {
		t.Fatal("the answer was not lost")
	}
	must(t, s.send(t.Context(), int64(len(want)), time.Minute))
	got := make(memory, len(want))
	must(t, l.downloadTo(t.Context(), &pages{runID: s.runID, to: got}, output{size: s.sent, chunks: s.pieces}))
	same(t, got, want, "pieces")
}

// TestOutputSurvivesBrokenConnections: the command and the network go on.
func TestOutputSurvivesBrokenConnections(t *testing.T) {
	r := newRoom(t)
	p := pgtest.Proxy(t, r.server.Addr())
	l := r.open("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, r.schema, "sslmode=disable"))
	c, x := begin(t, l, -1)
	want := random(3 << 20)
	for i := range 3 {
		held := p.Hold(proxy.ToClient, pieceSent)
		x.Write(ledger.Stdout, want[i<<20:(i+1)<<20])
		<-held
		p.Reset()
		p.Heal()
	}
	a := finish(t, c, x)
	same(t, outputOf(t, r.open("b", ""), a.RunID), want, "output")
	if a.Truncated {
		t.Error("the output is truncated")
	}
}

// TestOutputThatIsRefusedDoesNotCostTheOutcome: the right to store pieces is taken away. A full
// server has the same effect.
func TestOutputThatIsRefusedDoesNotCostTheOutcome(t *testing.T) {
	r := newRoom(t)
	c, x := begin(t, r.open("a", ""), -1)
	x.Write(ledger.Stdout, random(100<<10))
	r.until("select count(*) from {s}.output", "1")
	x.Write(ledger.Stdout, random(1<<20))
	r.query("revoke insert on {s}.output from " + pgtest.CI)
	a := finish(t, c, x)
	got, err := r.open("b", "").Get(t.Context(), testID)
	must(t, err)
	if !a.Truncated || got.Current.State != ledger.Succeeded || !got.Current.Truncated || got.Current.OutputBytes != 1<<20+100<<10 {
		t.Errorf("got %+v, want a truncated success", got.Current)
	}
	same(t, outputOf(t, r.open("c", ""), a.RunID), nil, "output")
	if n := r.query("select count(*) from {s}.output"); n != "0" {
		t.Errorf("%s pieces are left of an output that is not complete", n)
	}
}

// TestSmallOutputOfLongCommand: it can be followed on another host, and ends in the row of its
// record.
func TestSmallOutputOfLongCommand(t *testing.T) {
	r := newRoom(t)
	c, x := begin(t, r.open("a", ""), -1)
	runID := x.Attempt().RunID
	other := r.open("b", "")
	out, err := other.Output(t.Context(), testID, runID)
	must(t, err)
	defer out.Close()
	same(t, next(t, out), nil, "before the first byte")
	x.Write(ledger.Stdout, []byte("one "))
	var got []byte
	for len(got) == 0 {
		got = next(t, out)
	}
	same(t, got, []byte("one "), "while the command runs")
	x.Write(ledger.Stdout, []byte("two"))
	finish(t, c, x)
	same(t, next(t, out), []byte("two"), "after the end")
	same(t, next(t, out), nil, "after the last byte")
	same(t, outputOf(t, other, runID), []byte("one two"), "output")
	if n := r.query("select count(*) from {s}.output"); n != "0" {
		t.Errorf("%s pieces are left of an output that is in its record", n)
	}
}

// TestSpoolOfDeadProcessIsSentLater: the process dies with the half of its output sent.
func TestSpoolOfDeadProcessIsSentLater(t *testing.T) {
	r := newRoom(t)
	l := r.open("a", "")
	_, x := begin(t, l, -1)
	runID := x.Attempt().RunID
	want := random(2<<20 + 3)
	x.Write(ledger.Stdout, want[:300<<10])
	r.until("select count(*) from {s}.output", "2")
	x.(*execution).upload.drop() // the process dies
	x.Write(ledger.Stderr, want[300<<10:])

	here, err := l.openLocal(t.Context(), false)
	must(t, err)
	f, err := here.dir.Open(spoolName(runID), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write([]byte("a torn frame"))
	must(t, errors.Join(err, f.Close()))
	keeper := r.open("a", "")
	for range 2 { // the first may lose its answer
		o, err := keeper.sendSpool(t.Context(), here, testID, runID)
		must(t, err)
		out, err := r.open("b", "").download(context.Background(), runID, o)
		must(t, err)
		_, err = out.Check()
		must(t, err)
		same(t, next(t, out), want, "output")
		must(t, out.Close())
	}
	here.removeSpool(runID)
	same(t, outputOf(t, keeper, runID), want, "output of the interrupted attempt")
}

func TestDamagedOutputIsNotReplayed(t *testing.T) {
	r := newRoom(t)
	l := r.open("a", "")
	for _, damage := range []string{
		"delete from {s}.output where n = 1",
		"delete from {s}.output where n = 2",
		"update {s}.output set frames = substr(frames, 2) where n = 0",
		"update {s}.output set frames = set_byte(frames, 1000, get_byte(frames, 1000) # 1) where n = 2",
		"update {s}.output set frames = (select frames from {s}.output where n = 0) where n = 1",
		"update {s}.record set sum = sum + 1",
	} {
		c, x := begin(t, l, -1)
		x.Write(ledger.Stdout, random(700<<10))
		a := finish(t, c, x)
		r.query(damage)
		stdout, err := os.CreateTemp(t.TempDir(), "")
		must(t, err)
		out, err := l.Output(t.Context(), testID, a.RunID)
		if err == nil {
			err = errors.Join(out.Replay(stdout, nil), out.Close())
		}
		if !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: got %v, want %v", damage, err, ledger.ErrCorrupt)
		}
		if n, _ := stdout.Seek(0, io.SeekCurrent); n > 0 {
			t.Errorf("%s: %d bytes were replayed", damage, n)
		}
		r.query("delete from {s}.output")
	}
}

func TestDamagedFilesAreNotReturned(t *testing.T) {
	r := newRoom(t)
	l := r.open("a", "")
	for _, damage := range []string{
		"update {s}.file set content = 'x'", "update {s}.file set lost = true", "update {s}.file set place = 3",
		"update {s}.file set name = 'x'", "delete from {s}.file where n = 1",
	} {
		c, x := begin(t, l, 0)
		o := testSuccess
		o.Files = []ledger.File{{Name: "a", Content: []byte("1")}, {Name: "b", Content: []byte("2")}}
		a, err := x.Finish(t.Context(), o)
		must(t, err)
		must(t, c.Release())
		r.query(damage)
		if _, err := l.Files(t.Context(), testID, a.RunID); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: got %v, want %v", damage, err, ledger.ErrCorrupt)
		}
		r.query("delete from {s}.file")
	}
}

// TestFilesAreStoredOnceWithTheOutcome: the answer to the outcome is lost.
func TestFilesAreStoredOnceWithTheOutcome(t *testing.T) {
	r := newRoom(t)
	p := pgtest.Proxy(t, r.server.Addr())
	l := r.open("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, r.schema, "sslmode=disable"))
	c, x := begin(t, l, 0)
	o := testSuccess
	o.Files = []ledger.File{{Name: "a", Content: []byte("1")}}
	held := p.Hold(proxy.ToClient, func(kind byte, body []byte) bool { return kind == 'P' && bytes.Contains(body, []byte(".file (")) })
	go func() {
		<-held
		r.until("select count(*) from {s}.file", "1")
		p.Reset()
		p.Heal()
	}()
	a, err := x.Finish(t.Context(), o)
	must(t, err)
	must(t, c.Release())
	files, err := l.Files(t.Context(), testID, a.RunID)
	if err != nil || len(files) != 1 || a.Files != 1 {
		t.Errorf("got %v, %v", files, err)
	}
}

func TestAbandonLeavesNoPieces(t *testing.T) {
	r := newRoom(t)
	c, x := begin(t, r.open("a", ""), -1)
	x.Write(ledger.Stdout, random(100<<10))
	r.until("select count(*) from {s}.output", "1")
	must(t, x.Abandon(t.Context()))
	must(t, c.Release())
	if n := r.query("select count(*) from {s}.output"); n != "0" {
		t.Errorf("%s pieces are left of an abandoned attempt", n)
	}
}
