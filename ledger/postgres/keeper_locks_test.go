package postgres

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
)

// here opens the ledger as another call on the host of the job.
func (b *bench) here() *Ledger {
	b.Helper()
	l, err := Open(b.place, Options{LocalBase: filepath.Join(b.dir, "idem")})
	must(b, err)
	b.Cleanup(func() { _ = l.Close() })
	return l
}

// lockRow keeps every statement waiting that changes the record.
func (b *bench) lockRow() (unlock func()) { return lockRecords(b, b.server, b.schema) }

// lockRecords keeps every statement waiting that changes a record, or needs it unchanged.
func lockRecords(t testing.TB, s *pgtest.Server, schema string) (unlock func()) {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), pgtest.URL(s.Addr(), pgtest.Superuser, pgtest.Database, "", "sslmode=disable"))
	must(t, err)
	_, err = c.Exec(t.Context(), "begin; select from "+schema+".record for update").ReadAll()
	must(t, err)
	unlock = func() { _ = c.Close(context.Background()) }
	t.Cleanup(unlock)
	return unlock
}

// While the keeper gives a claim back, which can take time, a call on its host finds the key as it
// is, and not held.
func TestKeeperLooksLikeNoCall(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: time.Hour, Script: writePID + "exec sleep 60"})
	pid := b.written("pid")
	unlock := b.lockRow()
	b.kill(b.idem.Process.Pid, unix.SIGKILL)
	b.kill(pid, unix.SIGKILL)
	b.eventually("the keeper gives the claim back", func() bool {
		return b.server.Query(b, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%"+b.schema+"%set holder = null%'") != "0"
	})
	l := b.here()
	rec, err := l.Get(t.Context(), theKey)
	must(t, err)
	if rec.Phase() != ledger.PhaseInterrupted {
		t.Errorf("found %+v", rec)
	}
	unlock()
	c, err := l.Claim(t.Context(), theKey)
	must(t, err)
	must(t, c.Release())
	b.goes("the keeper", b.keeper)
}

// A call that is killed between its claim and Begin has started nothing. On its host the key is at
// once as it was before, whatever is left of the lease.
func TestClaimOfDeadCall(t *testing.T) {
	t.Parallel()
	failed := job{Lease: time.Hour, NoKeeper: true, Script: "exit 3"}
	interrupted := job{Lease: time.Hour, NoKeeper: true, Script: writePID + "exec sleep 60"}
	for name, test := range map[string]struct {
		before *job
		want   ledger.Phase
	}{"new": {nil, ledger.PhaseNone}, "failed": {&failed, ledger.PhaseFailed}, "interrupted": {&interrupted, ledger.PhaseInterrupted}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if test.before != nil {
				b.start(*test.before)
				if test.want == ledger.PhaseInterrupted {
					pid := b.written("pid")
					b.kill(b.idem.Process.Pid, unix.SIGKILL)
					b.kill(pid, unix.SIGKILL)
				} else {
					b.line("released ")
				}
			}
			b.launch(job{Lease: time.Hour, ClaimOnly: true})
			b.line("claimed")
			b.kill(b.idem.Process.Pid, unix.SIGKILL)
			l := b.here()
			rec, err := l.Get(t.Context(), theKey)
			must(t, err)
			if rec.Phase() != test.want {
				t.Errorf("found %+v", rec)
			}
			c, err := l.Claim(t.Context(), theKey)
			must(t, err)
			must(t, c.Release())
		})
	}
}

// A call is killed while it waits for a mutex. Its keeper gives the key back, also to other hosts.
func TestKeeperOfACallThatWaits(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other, err := Open(b.place, Options{LocalBase: filepath.Join(t.TempDir(), "idem")})
	must(t, err)
	t.Cleanup(func() { _ = other.Close() })
	c, err := other.Claim(t.Context(), ledger.ID{Namespace: "n", Key: "holder"})
	must(t, err)
	_, err = c.Begin(t.Context(), ledger.Start{RunID: "holder", Mutexes: oneM})
	must(t, err)
	b.launch(job{Lease: time.Hour, Mutex: true})
	b.line("waits")
	b.keeper = b.childNamed("idem-postgres")
	b.kill(b.idem.Process.Pid, unix.SIGKILL)
	b.goes("the keeper", b.keeper)
	if got := b.server.Query(t, "select holder is null and state = '' from "+b.schema+".record where key = 'k'"); got != "t" {
		t.Errorf("the key is free: %q", got)
	}
	must(t, c.Release())
}

// The keeper dies first, and idem while its command runs. Idem has started another keeper.
func TestDeadKeeperIsReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: 4 * time.Second, Script: writePID + "sleep 12; echo 0 >$D/done"})
	pid := b.written("pid")
	b.kill(b.keeper, unix.SIGKILL)
	b.goes("the first keeper", b.keeper)
	b.eventually("another keeper", func() bool { b.keeper = b.child("idem-postgres"); return b.keeper > 0 })
	b.kill(b.idem.Process.Pid, unix.SIGKILL)
	if rec := b.elsewhere(b.alive(pid)); rec.Phase() != ledger.PhaseInterrupted {
		t.Fatalf("found %+v", rec)
	}
	b.written("done")
	b.goes("the keeper", b.keeper)
}

// The keeper alone is stopped for longer than the lease. Idem has renewed the lease, so the command
// goes on.
func TestStoppedKeeperEndsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start(job{Lease: 4 * time.Second, Script: writePID + "exec sleep 60"})
	pid := b.written("pid")
	renewed := func(after string) {
		b.Helper()
		b.eventually("renewals for "+after, func() bool {
			return b.server.Query(b, "select renewed > started + interval '"+after+"' from "+b.schema+".record") == "t"
		})
	}
	b.kill(b.keeper, unix.SIGSTOP)
	renewed("6 seconds")
	b.kill(b.keeper, unix.SIGCONT)
	renewed("10 seconds")
	if !lives(pid) || !lives(b.keeper) {
		t.Fatal("the keeper has ended the command, or itself")
	}
}

// An attempt that begins after the look at the processes of the one before keeps its claim.
func TestKeeperGivesNoUnknownAttemptBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := b.here()
	c, err := l.claim(t.Context(), theKey)
	must(t, err)
	x, err := c.Begin(t.Context(), ledger.Start{RunID: "second"})
	must(t, err)
	k := &keeper{ledger: l, here: c.here}
	c.held.seen(x.Attempt().RunID) // a renewal, after the look at the processes of the first
	holder := func() string { return b.server.Query(t, "select holder is not null from "+b.schema+".record") }
	if err := k.givenBack(c.held, "first"); !errors.Is(err, errBegun) || holder() != "t" {
		t.Errorf("got error %v, holder %s", err, holder())
	}
	if err := k.givenBack(c.held, "second"); err != nil || holder() != "f" {
		t.Errorf("got error %v, holder %s", err, holder())
	}
}
