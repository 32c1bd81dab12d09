package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/filelock"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// TestKeeperSendsTheKeptOutcome of an idem that has ended or was killed. Until then the key is held,
// and after it no other host sees an unknown outcome.
func TestKeeperSendsTheKeptOutcome(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"ended", "killed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			p := pgtest.Proxy(t, b.server.Addr())
			place := pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, b.schema, "sslmode=disable")
			b.start(job{Place: place, Lease: time.Minute, Script: `until test -e "$D/go"; do sleep 0.05; done; exit 3`})
			p.Cut(proxy.Both)
			p.Reset()
			must(t, os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600))
			b.eventually("the outcome is kept", func() bool {
				kept, _ := filepath.Glob(filepath.Join(b.dir, "idem/shared/*/pending/"+b.run+"*"))
				return len(kept) == 1
			})
			if how == "killed" {
				b.kill(b.idem.Process.Pid, unix.SIGKILL)
			} else {
				b.line("released")
			}
			if state := b.server.Query(t, "select state, holder is not null and lease_until > clock_timestamp() from "+b.schema+".record"); state != "running|t" {
				t.Errorf("before the outcome is sent: got %s", state)
			}
			p.Heal()
			rec := b.elsewhere(func() bool { return false })
			if rec.Current.State != ledger.Failed || rec.Current.ExitCode != 3 {
				t.Errorf("got %+v, want exit status 3", rec.Current)
			}
			b.goes("the keeper", b.keeper)
			if kept, _ := filepath.Glob(filepath.Join(b.dir, "idem/shared/*/pending/*")); len(kept) != 0 {
				t.Errorf("still kept: %v", kept)
			}
		})
	}
}

// TestSyncOfALiveCall: a call that still tries to send its outcome has the key.
func TestSyncOfALiveCall(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	c, x := k.begin(l, "k")
	u := x.(*execution).newUnsent(finalSuccess)
	u.keep()
	other := k.host()
	k.state(other, "k", ledger.Running)
	if _, err := other.Claim(t.Context(), c.id); !errors.As(err, new(*ledger.BusyError)) {
		t.Errorf("got error %v", err)
	}
	k.sync(other, 0, 1)
	held, err := c.here.locks.Held(filelock.NameOf(c.id), filelock.Claim)
	if !held || err != nil {
		t.Errorf("the lock of the key: %t, %v", held, err)
	}
	must(t, u.end(context.Background(), nil))
	if k.kept("a") != 0 {
		t.Error("the outcome is still kept")
	}
}

// TestImpatientUserKeepsTheOutput: Ctrl-C ends the tries to send the output, and the keeper sends
// it with the outcome, although the server could take the outcome alone a moment later.
func TestImpatientUserKeepsTheOutput(t *testing.T) {
	k := newUnsentKit(t)
	k.o.FinishTimeout = time.Minute
	c, x := k.begin(k.host(), "k")
	want := make([]byte, 3<<20)
	_, _ = rand.Read(want)
	x.Write(ledger.Stdout, want)
	unlock := lockRecords(t, k.server, k.schema)
	ctx, ctrlC := context.WithCancel(t.Context())
	ctrlC()
	done := make(chan error, 1)
	go func() { _, err := x.Finish(ctx, finalSuccess); done <- err }()
	// The upload is over: Finish has returned, or the outcome waits for the server.
	eventually(t, func() bool { return len(done) == 1 || k.waiting("0 s") })
	unlock()
	if err := <-done; !errors.As(err, new(*ledger.UnsentError)) || k.kept("a") != 1 {
		t.Errorf("got error %v, and %d kept outcomes", err, k.kept("a"))
	}
	must(t, c.Release())
	k.sync(k.host(), 1, 0)
	if a := k.state(k.open("b"), "k", ledger.Succeeded); a.OutputBytes != int64(len(want)) || a.Truncated {
		t.Errorf("got %d bytes of output, truncated: %t", a.OutputBytes, a.Truncated)
	}
}

// TestImpatientUserOfAFullDisk: Ctrl-C counts as soon as the outcome can be kept.
func TestImpatientUserOfAFullDisk(t *testing.T) {
	k := newUnsentKit(t)
	warned := make(chan string, 1)
	k.o.Warn = func(s string) { warned <- s }
	c, x := k.begin(k.host(), "k")
	dir := c.here.dir.File(pendingDir)
	must(t, os.Remove(dir))
	must(t, os.WriteFile(dir, nil, 0o600))
	ctx, ctrlC := context.WithCancel(t.Context())
	ctrlC()
	u := x.(*execution).newUnsent(finalSuccess)
	tries, stop := u.tries(ctx, time.Hour, time.Now())
	defer stop()
	<-warned
	must(t, os.Remove(dir))
	must(t, os.Mkdir(dir, 0o700))
	<-tries.Done()
	if k.kept("a") != 1 {
		t.Errorf("%d outcomes are kept", k.kept("a"))
	}
	_ = u.file.Close()
}

// TestSlowServerTakesAKeptOutcome: the time that an outcome needs is not cut to the connect timeout.
func TestSlowServerTakesAKeptOutcome(t *testing.T) {
	k := newUnsentKit(t)
	c, x := k.begin(k.host(), "k")
	k.unsent(c, x, finalSuccess)
	k.mend()
	l := k.host()
	unlock := lockRecords(t, k.server, k.schema)
	done := make(chan error, 1)
	go func() { _, _, err := l.deliver(t.Context()); done <- err }()
	eventually(t, func() bool { return len(done) == 1 || k.waiting("2 s") }) // the connect timeout is 1 s
	unlock()
	must(t, <-done)
	k.state(k.open("b"), "k", ledger.Succeeded)
}

// waiting reports whether the statement of an outcome has waited for a lock for a time.
func (k *unsentKit) waiting(d string) bool {
	k.Helper()
	return k.server.Query(k, "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%exit_code, signal, output_bytes%"+
		k.schema+"%' and clock_timestamp() > query_start + interval '"+d+"'") != "0"
}
