package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger/postgres/dsn"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
	"idem/ledger/postgres/wire"
)

// unsentJob runs a command to its end while the server cannot be reached. It returns when idem has
// left the outcome to the keeper. during is called before the command ends.
func unsentJob(t *testing.T, lease time.Duration, before string, during ...func(b *bench)) (*bench, *proxy.Proxy) {
	t.Helper()
	b := newBench(t)
	p := pgtest.Proxy(t, b.server.Addr())
	place := pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, b.schema, "sslmode=disable")
	b.start(job{Place: place, Lease: lease, Script: before + writePID + "until [ -e $D/go ]; do sleep 0.05; done; exit 0"})
	b.written("pid")
	p.Cut(proxy.Both)
	p.Reset()
	for _, f := range during {
		f(b)
	}
	must(t, os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600))
	b.line("released ")
	return b, p
}

// sent waits until the server has the outcome.
func (b *bench) sent() {
	b.Helper()
	b.eventually("the outcome is sent", func() bool {
		return b.server.Query(b, "select state <> 'running' and holder is null from "+b.schema+".record") == "t"
	})
}

// A command that has ended by itself has left a daemon, which has the attempt in its environment.
// The outcome counts, and the keeper ends.
func TestKeeperSendsDespiteADaemon(t *testing.T) {
	t.Parallel()
	b, p := unsentJob(t, time.Minute, "(setsid sleep 120 </dev/null >/dev/null 2>&1 &) ; ")
	p.Heal()
	b.sent()
	b.goes("the keeper", b.keeper)
}

// An outcome that cannot be read is never sent. The key is not held for ever because of it.
func TestKeeperGivesUpADamagedOutcome(t *testing.T) {
	t.Parallel()
	for name, damaged := range map[string]string{"damaged": "?", "newer": "idem outcome 2 x\n{}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := unsentJob(t, 20*time.Second, "")
			names, _ := filepath.Glob(filepath.Join(b.dir, "idem/shared/*/pending/*"))
			if len(names) != 1 {
				t.Fatalf("kept: %v", names)
			}
			f, err := os.OpenFile(names[0], os.O_RDWR, 0)
			must(t, err)
			defer f.Close()
			must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX)) // a try that has read the file has ended
			must(t, os.WriteFile(names[0], []byte(damaged), 0o600))
			must(t, unix.Flock(int(f.Fd()), unix.LOCK_UN))
			p.Heal()
			b.goes("the keeper", b.keeper)
			b.leaseEnds()
			if _, err := os.Stat(names[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

// The server answers, and does not take the outcome. The keeper tries until it does, also after its
// claim is over.
func TestKeeperTriesAgainAfterARefusal(t *testing.T) {
	t.Parallel()
	for name, lease := range map[string]time.Duration{"held": time.Minute, "over": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := unsentJob(t, lease, "")
			b.server.Exec(t, strings.ReplaceAll(`create sequence {s}.refused;
				create function {s}.refuse() returns trigger language plpgsql security definer as $$ begin
					perform pg_catalog.nextval('{s}.refused'); -- which no rollback undoes
					raise insufficient_privilege;
				end $$;
				create trigger refuse before update on {s}.record for each row when (new.state <> 'running') execute function {s}.refuse()`, "{s}", b.schema))
			if name == "over" {
				b.leaseEnds()
			}
			p.Heal()
			b.eventually("a refusal", func() bool { return b.server.Query(t, "select is_called from "+b.schema+".refused") == "t" })
			b.server.Exec(t, "drop trigger refuse on "+b.schema+".record")
			b.sent()
			b.goes("the keeper", b.keeper)
		})
	}
}

// The keeper has died, and no renewal has started another one before the outcome was left to it.
func TestDeadKeeperIsReplacedForAnOutcome(t *testing.T) {
	t.Parallel()
	b, p := unsentJob(t, time.Minute, "(setsid sleep 120 </dev/null >/dev/null 2>&1 &) ; ", func(b *bench) {
		b.kill(b.keeper, unix.SIGKILL)
		b.goes("the first keeper", b.keeper)
	})
	p.Heal()
	b.sent()
}

// A keeper that was stopped has missed renewals, and idem has decided that its command has exited.
func TestKeeperBelievesThatACommandHasExited(t *testing.T) {
	for name, notes := range map[string][]note{
		"alive":   {{Kind: noteExited}},
		"revived": {noteLocked(&held{run: "r", exited: true})},
	} {
		l := &Ledger{opt: Options{Lease: time.Minute}.withDefaults(&dsn.Config{})}
		s := newLeases(l, nil)
		l.leases = s
		h := &held{run: "r", length: time.Minute, lost: make(chan struct{}), over: true}
		k := &keeper{ledger: l, claims: map[wire.UUID]*held{{}: h}}
		for _, n := range notes {
			n.Holders = []wire.UUID{{}}
			k.handle(n)
		}
		if !h.exited || h.attempt() != "r" {
			t.Errorf("%s: exited %t, attempt %q", name, h.exited, h.attempt())
		}
	}
}
