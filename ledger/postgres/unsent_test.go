package postgres

import (
	"context"
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
