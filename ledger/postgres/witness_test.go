package postgres

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
)

// doubtKit is a ledger on a separate server, which loses what it has acknowledged.
func doubtKit(t *testing.T, o InitOptions) *unsentKit {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Options{TCP: true})
	schema := s.NewSchema(t)
	o.Grant = []string{pgtest.CI}
	must(t, initialize(t.Context(), s.URL(pgtest.Owner, pgtest.Database, schema), o))
	k := &unsentKit{mutexKit: &mutexKit{T: t, server: s, schema: schema, hosts: map[string]string{}}, warn: new([]string)}
	k.p = pgtest.Proxy(t, s.Addr())
	k.place = pgtest.URL(k.p.Addr(), pgtest.CI, pgtest.Database, schema, "sslmode=disable")
	return k
}

const several = 20

func (k *unsentKit) runSeveral(l *Ledger, name string) {
	k.Helper()
	for i := range several {
		k.run(l, fmt.Sprint(name, i), ledger.Succeeded)
	}
}

// refuses checks that a host starts no key whose success may be forgotten, and replays the other keys.
func (k *unsentKit) refuses(l *Ledger) {
	k.Helper()
	for i := range several {
		k.state(l, fmt.Sprint("kept", i), ledger.Succeeded)
		for _, name := range []string{"lost", "new"} {
			id := ledger.ID{Namespace: "n", Key: fmt.Sprint(name, i)}
			if _, err := l.Claim(k.Context(), id); !errors.Is(err, ledger.ErrFailedOver) {
				k.Errorf("key %s: got error %v, want %v", id.Key, err, ledger.ErrFailedOver)
			}
		}
	}
}

// confirm accepts the content of the server for host a, and checks that keys can be claimed then.
func (k *unsentKit) confirm(url string) {
	k.Helper()
	r, err := Confirm(k.Context(), url, ConnectOptions{LocalBase: filepath.Join(k.hosts["a"], "idem")})
	must(k.T, err)
	if len(r.Lines) == 0 {
		k.Error("Confirm reports nothing")
	}
	k.run(k.host(), "lost1", ledger.Succeeded)
}

// TestPromotionThatForgets, where a promotion alone is accepted.
func TestPromotionThatForgets(t *testing.T) {
	k := doubtKit(t, InitOptions{Failover: FailoverAccept})
	k.runSeveral(k.host(), "kept")
	r := k.server.Standby(t, pgtest.StandbyOptions{})
	k.server.CaughtUp(t, r)
	r.StopReceiver(t)
	k.runSeveral(k.host(), "lost")
	k.server.Stop(t, pgtest.Immediate)
	r.Promote(t)
	k.p.Retarget(r.Addr())
	k.refuses(k.host())
	k.confirm(pgtest.URL(r.Addr(), pgtest.Owner, pgtest.Database, k.schema, "sslmode=disable"))
}

// TestRestoreOfABackup has the same timeline.
func TestRestoreOfABackup(t *testing.T) {
	k := doubtKit(t, InitOptions{})
	l := k.host()
	k.runSeveral(l, "kept")
	restore := k.server.Snapshot(t)
	k.runSeveral(k.host(), "lost")
	c, x := k.begin(k.host(), "unsent")
	k.unsent(c, x, finalSuccess)
	k.mend()
	restore()
	k.refuses(k.host())
	k.refuses(l)
	if _, err := k.host().Claim(t.Context(), c.id); !errors.Is(err, ledger.ErrFailedOver) {
		t.Errorf("the key of a kept outcome: got error %v", err)
	}
	k.confirm(pgtest.URL(k.server.Addr(), pgtest.Owner, pgtest.Database, k.schema, "sslmode=disable"))
	late, err := k.host().Late(t.Context(), c.id)
	if err != nil || len(late) != 1 || k.kept("a") != 0 {
		t.Errorf("got late outcomes %+v, %v, and %d kept ones", late, err, k.kept("a"))
	}
}

// TestWitnessSurvivesWhatUsersDo: nothing that a user may do looks like a server that forgets.
func TestWitnessSurvivesWhatUsersDo(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	check := func(doing string) {
		t.Helper()
		c, err := k.host().Claim(t.Context(), ledger.ID{Namespace: "n", Key: "new"})
		if err != nil {
			t.Fatalf("after %s: %v", doing, err)
		}
		must(t, c.Release())
	}
	parent := ledger.ID{Namespace: "n", Key: "p"}
	k.run(l, "p", ledger.Succeeded)
	check("a run")
	must(t, l.Forget(t.Context(), parent))
	check("Forget")
	k.run(l, "p", ledger.Succeeded)
	for _, key := range []string{"p/a", "p/b"} {
		c := k.claim(l, key)
		x, err := c.Begin(t.Context(), ledger.Start{RunID: key, Origin: ledger.Origin{Parent: parent}})
		must(t, err)
		_, err = x.Finish(t.Context(), finalSuccess)
		must(t, err)
		must(t, c.Release())
	}
	must(t, l.Forget(t.Context(), parent))
	check("Forget of a parent")
	for _, state := range []ledger.State{ledger.Succeeded, ledger.None} {
		m := k.claim(l, "m")
		rec, err := m.Record(t.Context())
		must(t, err)
		_, err = m.Mark(t.Context(), ledger.Mark{Expect: rec, RunID: "m" + string(state), State: state, Reason: ledger.ReasonMarked})
		must(t, err)
		must(t, m.Release())
		check("Mark")
	}
	must(t, k.open("b").Forget(t.Context(), ledger.ID{Namespace: "n", Key: "m"}))
	check("Forget of a mark by another host")
	k.run(l, "r", ledger.Succeeded)
	b := k.open("b")
	k.run(b, "r", ledger.Failed)
	check("a run of the same key by another host")
	must(t, b.Forget(t.Context(), idOf("r")))
	k.run(b, "r", ledger.Succeeded)
	check("Forget and a run by another host")
	k.run(l, "r", ledger.Succeeded)
	must(t, l.Forget(t.Context(), idOf("r")))
	k.run(b, "r", ledger.Succeeded)
	check("Forget, and a run by another host")
	c, x := k.begin(l, "q")
	must(t, x.Abandon(t.Context()))
	must(t, c.Release())
	check("Abandon")
}

// TestWitnessFile: a file that is not complete has no witness, and an older one never replaces it.
func TestWitnessFile(t *testing.T) {
	k := newUnsentKit(t)
	l := k.host()
	k.run(l, "k", ledger.Succeeded)
	here := l.local
	id := ledger.ID{Namespace: "n", Key: "a/b/c"}
	here.confirmations(7)
	here.acknowledged(id, 1000, 3, "r")
	here.acknowledged(ledger.ID{Namespace: "n", Key: "k"}, 999, 1, "s")
	other := k.host()
	must(t, openIt(t, other))
	got := other.local.lastWitness()
	if got.fence != 1000 || got.generation != 3 || got.run != "r" || got.confirmations != 7 || len(got.above) != 2 || string(got.name[:]) != string(nameOf(id)) {
		t.Fatalf("got %+v", got)
	}
	path := here.dir.File(witnessFile)
	content, err := os.ReadFile(path)
	must(t, err)
	for _, damaged := range []string{"", string(content[:40]), "x" + string(content[1:]), string(make([]byte, len(content)))} {
		must(t, os.WriteFile(path, []byte(damaged), 0o600))
		fresh := k.host()
		must(t, openIt(t, fresh))
		if got := fresh.local.lastWitness(); got.fence != 0 {
			t.Errorf("%.20q: got %+v", damaged, got)
		}
	}
}

func openIt(t *testing.T, l *Ledger) error {
	_, err := l.openLocal(t.Context(), true)
	return err
}

// TestRestoreAndTheSameKey: another host runs the key of the witness again after a restore.
func TestRestoreAndTheSameKey(t *testing.T) {
	k := doubtKit(t, InitOptions{})
	k.run(k.host(), "kept0", ledger.Succeeded)
	restore := k.server.Snapshot(t)
	k.run(k.host(), "lost1", ledger.Succeeded)
	k.run(k.host(), "last", ledger.Succeeded)
	restore()
	b := k.open("b")
	for range 3 { // the numbers exceed that of the witness
		k.run(b, "last", ledger.Succeeded)
	}
	k.wantRefused("lost1")
	c, x := k.begin(b, "lost1")
	must(t, x.Abandon(t.Context()))
	must(t, c.Release())
	k.wantRefused("lost1")
	k.confirm(pgtest.URL(k.server.Addr(), pgtest.Owner, pgtest.Database, k.schema, "sslmode=disable"))
}

// TestRestoreThatForgetsMarks, or what a person has forgotten, and nothing else.
func TestRestoreThatForgetsMarks(t *testing.T) {
	for name, change := range map[string]func(k *unsentKit, id ledger.ID) error{
		"a mark": func(k *unsentKit, id ledger.ID) error {
			c := k.claim(k.host(), id.Key)
			rec, err := c.Record(k.Context())
			must(k.T, err)
			_, err = c.Mark(k.Context(), ledger.Mark{Expect: rec, RunID: "m", State: ledger.Succeeded, Reason: ledger.ReasonMarked})
			must(k.T, err)
			return c.Release()
		},
		"Forget": func(k *unsentKit, id ledger.ID) error {
			return k.host().Forget(k.Context(), ledger.ID{Namespace: "n", Key: "kept0"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := doubtKit(t, InitOptions{})
			k.run(k.host(), "kept0", ledger.Succeeded)
			restore := k.server.Snapshot(t)
			id := ledger.ID{Namespace: "n", Key: "new"}
			must(t, change(k, id))
			restore()
			if _, err := k.host().Claim(t.Context(), id); !errors.Is(err, ledger.ErrFailedOver) {
				t.Errorf("got error %v, want %v", err, ledger.ErrFailedOver)
			}
			c, err := k.host().ClaimSettling(t.Context(), id)
			must(t, err)
			must(t, c.Release())
		})
	}
}
