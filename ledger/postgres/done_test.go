package postgres

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/wire"
	"idem/ledger/survey"
)

// doneKit is a ledger with a table of effects.
type doneKit struct{ *mutexKit }

func newDoneKit(t *testing.T) doneKit {
	k := doneKit{newMutexKit(t)}
	k.server.Exec(t, "create table "+k.schema+".effect (key text not null, fence bigint not null); grant select, insert on "+k.schema+".effect to "+pgtest.CI)
	return k
}

// command is the connection of a command to the database of its effects.
type command struct {
	*pgconn.PgConn
	k doneKit
}

func (k doneKit) connect() command {
	k.Helper()
	c, err := pgconn.Connect(k.Context(), pgtest.URL(k.server.Addr(), pgtest.CI, pgtest.Database, "", "sslmode=disable"))
	must(k.T, err)
	k.Cleanup(func() { _ = c.Close(context.Background()) })
	return command{c, k}
}

func (c command) try(sql string) error {
	_, err := c.Exec(context.Background(), sql).ReadAll()
	return err
}

func (c command) do(sql string) {
	c.k.Helper()
	if err := c.try(sql); err != nil {
		c.k.Fatalf("%s: %v", sql, err)
	}
}

// work is the SQL of a command's effect, and of its call of done.
func (k doneKit) work(id ledger.ID, x ledger.Execution) string {
	fence := strconv.FormatInt(x.Fence(), 10)
	return "insert into " + k.schema + ".effect values ('" + id.Key + "', " + fence + "); " + k.done(id, x)
}

func (k doneKit) done(id ledger.ID, x ledger.Execution) string {
	token := hashkey.Token(id.Namespace, id.Key, id.Window, x.Generation())
	return "select " + k.schema + ".done('" + token.String() + "', '" + strconv.FormatInt(x.Fence(), 10) + "')"
}

func (k doneKit) effects() string {
	k.Helper()
	return k.server.Query(k.T, "select count(*) from "+k.schema+".effect")
}

// wantState checks the state and the reason of a key.
func (k doneKit) wantState(l *Ledger, id ledger.ID, state ledger.State, reason ledger.Reason) ledger.Record {
	k.Helper()
	r, err := l.Get(k.Context(), id)
	must(k.T, err)
	if r.Current.State != state || r.Current.Reason != reason {
		k.Fatalf("got %q %q, want %q %q", r.Current.State, r.Current.Reason, state, reason)
	}
	return r
}

// wantOver checks that the transaction of an attempt that is over cannot be committed.
func (k doneKit) wantOver(err error) {
	k.Helper()
	if p := (*pgconn.PgError)(nil); !errors.As(err, &p) || p.Code != "IDEM1" {
		k.Fatalf("got error %v, want one of state IDEM1", err)
	}
}

func (k doneKit) begin(l *Ledger, key string) (*claim, ledger.Execution) {
	k.Helper()
	c := k.claim(l, key)
	x, err := c.Begin(k.Context(), ledger.Start{RunID: uuid.NewString(), MaxOutput: -1})
	must(k.T, err)
	return c, x
}

// TestDoneComputesAsGo compares the functions in SQL with those of Go.
func TestDoneComputesAsGo(t *testing.T) {
	k := newDoneKit(t)
	l := k.openAt("h", k.server.URL(pgtest.Owner, pgtest.Database, k.schema), Options{})
	for _, id := range []ledger.ID{{}, {Namespace: "n", Key: "k", Window: "2026-11-29"}, {Namespace: string(random(127)), Key: string(random(300)), Window: string(random(128))}} {
		for _, n := range []int64{0, 1, 127, 128, 300, 1 << 40, 1<<63 - 1} {
			var token uuid.UUID
			s := l.stmt("select {s}.token_of($1, $2, $3, $4)", wire.Raw(id.Namespace), wire.Raw(id.Key), wire.Raw(id.Window), wire.Int(n))
			s.Each = func(row *wire.Row) error { token = row.ID(); return nil }
			must(t, l.do(t.Context(), wire.Read, s))
			if want := hashkey.Token(id.Namespace, id.Key, id.Window, n); token != want {
				t.Errorf("token of %q, %d: got %v, want %v", id, n, token, want)
			}
		}
		for _, fingerprint := range []string{"", id.Key} {
			var done int64
			s := l.stmt("select {s}.done_of($1, $2)", wire.Bytes(nameOf(id)), wire.Raw(fingerprint))
			s.Each = func(row *wire.Row) error { done = row.Int(); return nil }
			must(t, l.do(t.Context(), wire.Read, s))
			if want := survey.DoneOf(filelock.NameOf(id), fingerprint); done != want {
				t.Errorf("done of %q: got %d, want %d", id, done, want)
			}
		}
	}
}

// TestDoneIsOneCommitWithTheEffect keeps a transaction open for longer than several renewals.
func TestDoneIsOneCommitWithTheEffect(t *testing.T) {
	k := newDoneKit(t)
	l := k.openAt("h", k.server.URL(pgtest.CI, pgtest.Database, k.schema), Options{Lease: 4 * time.Second})
	c, x := k.begin(l, "k")
	db := k.connect()
	db.do("begin")
	db.do(k.work(c.id, x))
	renewed := "select renewed from " + k.schema + ".record"
	for range 5 {
		for was := k.server.Query(t, renewed); k.server.Query(t, renewed) == was; {
			time.Sleep(20 * time.Millisecond)
		}
	}
	k.wantState(l, c.id, ledger.Running, "")
	db.do(k.done(c.id, x)) // again, in the same transaction
	db.do("commit")
	if r := k.wantState(l, c.id, ledger.Succeeded, ledger.ReasonTransaction); !r.Current.Incomplete || r.Current.Truncated || r.Current.Ended.IsZero() {
		t.Errorf("got %+v, want an end and an output that may lack its own", r.Current)
	}
	db.do(k.done(c.id, x)) // again, in another one
	select {
	case <-c.Lost():
		t.Error("the claim is lost")
	default:
	}
	a, err := x.Finish(t.Context(), ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 3})
	must(t, err)
	if a.State != ledger.Succeeded || a.Reason != ledger.ReasonTransaction || a.ExitCode != 0 || a.Incomplete {
		t.Errorf("after a failure: got %+v, want the success of the transaction with its whole output", a)
	}
	must(t, c.Release())
	k.wantState(l, c.id, ledger.Succeeded, ledger.ReasonTransaction)
}

func TestAnExitAfterDoneIsRecorded(t *testing.T) {
	k := newDoneKit(t)
	l := k.open("h")
	c, x := k.begin(l, "k")
	db := k.connect()
	db.do(k.work(c.id, x))
	finish(t, c, x)
	k.wantState(l, c.id, ledger.Succeeded, ledger.ReasonExit)
	k.wantOver(db.try(k.work(c.id, x)))
	if got := k.effects(); got != "1" {
		t.Errorf("got %s effects, want 1", got)
	}
}

func TestARollbackLeavesNothing(t *testing.T) {
	k := newDoneKit(t)
	l := k.open("h")
	c, x := k.begin(l, "k")
	db := k.connect()
	db.do("begin")
	db.do(k.work(c.id, x))
	db.do("rollback")
	k.wantState(l, c.id, ledger.Running, "")
	if got := k.server.Query(t, "select count(*) from "+k.schema+".doing"); got != "0" {
		t.Errorf("got %s rows, want none", got)
	}
	must(t, db.Close(t.Context()))
	_, err := x.Finish(t.Context(), ledger.Outcome{State: ledger.Failed, Reason: ledger.ReasonExit, ExitCode: 1})
	must(t, err)
	must(t, c.Release())
	k.wantState(l, c.id, ledger.Failed, ledger.ReasonExit)
}

// TestAFencedHolderCommitsNothing ends an attempt in each way while its transaction is open.
func TestAFencedHolderCommitsNothing(t *testing.T) {
	t.Parallel()
	ends := map[string]func(k doneKit, l *Ledger, c *claim, x ledger.Execution){
		"finish": func(k doneKit, _ *Ledger, _ *claim, x ledger.Execution) {
			_, err := x.Finish(k.Context(), died)
			must(k.T, err)
		},
		"begin": func(k doneKit, l *Ledger, c *claim, _ ledger.Execution) { k.begin(l, c.id.Key) },
		"begin with a mutex": func(k doneKit, l *Ledger, c *claim, _ ledger.Execution) {
			_, err := k.claim(l, c.id.Key).Begin(k.Context(), startM(oneM...))
			must(k.T, err)
		},
		"mark": func(k doneKit, l *Ledger, c *claim, _ ledger.Execution) {
			other := k.claim(l, c.id.Key)
			rec, err := other.Record(k.Context())
			must(k.T, err)
			_, err = other.Mark(k.Context(), ledger.Mark{RunID: uuid.NewString(), State: ledger.None, Reason: ledger.ReasonMarked, Expect: rec})
			must(k.T, err)
		},
		"forget":        func(k doneKit, l *Ledger, c *claim, _ ledger.Execution) { must(k.T, l.Forget(k.Context(), c.id)) },
		"forget parent": func(k doneKit, l *Ledger, _ *claim, _ ledger.Execution) { must(k.T, l.Forget(k.Context(), idOf("p"))) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			k := newDoneKit(t)
			l := k.open("h1")
			parent, px := k.begin(l, "p")
			c := k.claim(l, "p/k")
			x, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString(), Origin: ledger.Origin{Parent: parent.id, RunID: px.Attempt().RunID}})
			must(t, err)
			db := k.connect()
			db.do("begin")
			db.do(k.work(c.id, x))
			if name != "finish" {
				k.die(l)
				k.expire("p/k")
				k.expire("p")
			}
			end(k, k.open("h2"), c, x)
			k.wantOver(db.try("commit"))
			k.wantOver(db.try(k.work(c.id, x)))
			if got := k.effects(); got != "0" {
				t.Errorf("got %s effects, want 0", got)
			}
		})
	}
}

// TestACommittedChildIsASuccessOfItsBatch: the columns for surveys are set.
func TestACommittedChildIsASuccessOfItsBatch(t *testing.T) {
	k := newDoneKit(t)
	l := k.open("h")
	parent, px := k.begin(l, "p")
	c := k.claim(l, "p/k")
	x, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString(), Fingerprint: "f", Origin: ledger.Origin{Parent: parent.id, RunID: px.Attempt().RunID}})
	must(t, err)
	k.connect().do(k.work(c.id, x))
	all, err := l.Successes(t.Context(), parent.id)
	must(t, err)
	if !all.Has(c.id, "f") {
		t.Error("the child is not among the successes")
	}
}

// TestBeginFindsALateSuccess: a transaction is committed between the claim of a later call and
// its Begin, which must not start the command again.
func TestBeginFindsALateSuccess(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(k doneKit, c *claim) ledger.Start{
		"simple": func(doneKit, *claim) ledger.Start { return ledger.Start{RunID: uuid.NewString()} },
		"mutex":  func(doneKit, *claim) ledger.Start { return startM(oneM...) },
		"fresh":  func(doneKit, *claim) ledger.Start { return ledger.Start{RunID: uuid.NewString(), Fresh: true} },
		"after Adopt": func(k doneKit, c *claim) ledger.Start {
			must(k.T, c.Adopt(k.Context(), ledger.Origin{Parent: idOf("p"), RunID: uuid.NewString()}))
			return ledger.Start{RunID: uuid.NewString()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newDoneKit(t)
			l := k.open("h1")
			c, x := k.begin(l, "p/k")
			db := k.connect()
			db.do("begin")
			db.do(k.work(c.id, x))
			k.die(l)
			k.expire("p/k")
			other := k.claim(k.open("h2"), "p/k")
			_, err := other.Record(t.Context())
			must(t, err)
			s := start(k, other)
			db.do("commit")
			if _, err := other.Begin(t.Context(), s); !errors.Is(err, ledger.ErrChanged) {
				t.Errorf("got error %v, want ErrChanged", err)
			}
			must(t, other.Release())
			k.wantState(k.open("h2"), c.id, ledger.Succeeded, ledger.ReasonTransaction)
		})
	}
}

func TestDoneRefusesAnotherToken(t *testing.T) {
	k := newDoneKit(t)
	l := k.open("h")
	c, x := k.begin(l, "k")
	other, y := k.begin(l, "other")
	db := k.connect()
	fence := strconv.FormatInt(x.Fence(), 10)
	token := hashkey.Token("n", "k", "", x.Generation()).String()
	for _, args := range []string{"null, " + fence, "'" + token + "', null"} {
		if err := db.try("select " + k.schema + ".done(" + args + ")"); err == nil {
			t.Errorf("done(%s) has succeeded", args)
		}
	}
	k.wantOver(db.try("select " + k.schema + ".done('" + token + "', " + strconv.FormatInt(y.Fence(), 10) + ")"))
	k.wantOver(db.try("select " + k.schema + ".done('" + token + "', 0)"))
	k.wantState(l, c.id, ledger.Running, "")
	k.wantState(l, other.id, ledger.Running, "")
}

// TestDoneInRepeatableRead: a renewal since the snapshot is a serialization failure.
func TestDoneInRepeatableRead(t *testing.T) {
	k := newDoneKit(t)
	l := k.open("h")
	c, x := k.begin(l, "k")
	db := k.connect()
	db.do("begin isolation level repeatable read; select 1 from " + k.schema + ".effect")
	l.leases.renew(l.leases.batch(), time.Minute)
	db.do(k.work(c.id, x))
	if p := (*pgconn.PgError)(nil); !errors.As(db.try("commit"), &p) || p.Code != "40001" {
		t.Errorf("got error %v, want a serialization failure", p)
	}
	k.wantState(l, c.id, ledger.Running, "")
	db.do("begin isolation level serializable; " + k.work(c.id, x) + "; commit")
	k.wantState(l, c.id, ledger.Succeeded, ledger.ReasonTransaction)
	if got := k.effects(); got != "1" {
		t.Errorf("got %s effects, want 1", got)
	}
}

// TestDoneOfAHostileRole: a schema of another user is first in the search_path of the caller.
func TestDoneOfAHostileRole(t *testing.T) {
	t.Parallel()
	a := hostile(t)
	schema := a.server.NewSchema(t)
	must(t, initialize(t.Context(), a.url(a.owner, schema), InitOptions{Grant: []string{a.user}}))
	l, err := Open(a.url(a.user, schema), Options{LocalBase: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	k := doneKit{&mutexKit{T: t, server: a.server, schema: schema}}
	parent, px := k.begin(l, "p")
	c := k.claim(l, "p/k")
	x, err := c.Begin(t.Context(), ledger.Start{RunID: uuid.NewString(), Origin: ledger.Origin{Parent: parent.id, RunID: px.Attempt().RunID}})
	must(t, err)
	token := hashkey.Token("n", "p/k", "", x.Generation()).String()
	if _, err := a.server.Try(a.user, "select "+schema+".done('"+token+"'::pg_catalog.uuid, "+strconv.FormatInt(x.Fence(), 10)+"::pg_catalog.int8)"); err != nil {
		t.Fatal(err)
	}
	k.wantState(l, c.id, ledger.Succeeded, ledger.ReasonTransaction)
}
