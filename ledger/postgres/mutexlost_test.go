package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// TestMutexLostAnswers loses the answer to the commit of a Begin and of a Queue.
func TestMutexLostAnswers(t *testing.T) {
	t.Parallel()
	commit := func(kind byte, body []byte) bool {
		return kind == 'P' && bytes.Contains(body, []byte("commit")) && len(body) < 20
	}
	lossy := func(k *mutexKit) (*Ledger, *proxy.Proxy) {
		p, err := proxy.Listen("tcp", "127.0.0.1:0", k.server.Addr())
		must(k.T, err)
		k.Cleanup(func() { _ = p.Close() })
		return k.openAt("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, k.schema, "sslmode=disable"), Options{}), p
	}
	t.Run("begin", func(t *testing.T) {
		k := newMutexKit(t)
		a, p := lossy(k)
		b := k.open("b")
		c := k.claim(a, "k")
		reached := p.Hold(proxy.ToClient, commit)
		done := make(chan error, 1)
		go func() { _, err := c.Begin(t.Context(), startM(oneM...)); done <- err }()
		<-reached
		p.Reset()
		must(t, <-done)
		k.taken(b, "the mutex is held")
		must(t, c.Release())
		k.free(b, "the claim is released")
	})
	t.Run("begin again", func(t *testing.T) { // the call does not learn what became of the first Begin
		k := newMutexKit(t)
		a, p := lossy(k)
		b := k.open("b")
		c := k.claim(a, "k")
		ctx, cancel := context.WithCancel(t.Context())
		reached := p.Hold(proxy.ToClient, commit)
		done := make(chan error, 1)
		go func() { _, err := c.Begin(ctx, startM(oneM...)); done <- err }()
		<-reached
		cancel()
		if <-done == nil {
			t.Error("Begin succeeded without an answer")
		}
		k.taken(b, "the first Begin was committed")
		_, err := c.Begin(t.Context(), startM(oneM...))
		must(t, err)
		k.taken(b, "the mutex is held")
		must(t, c.Release())
		k.free(b, "the claim is released")
	})
	t.Run("begin without an answer", func(t *testing.T) {
		k := newMutexKit(t)
		a, p := lossy(k)
		c := k.claim(a, "k")
		ctx, cancel := context.WithCancel(t.Context())
		reached := p.Hold(proxy.ToClient, commit)
		done := make(chan error, 1)
		go func() { _, err := c.Begin(ctx, startM(oneM...)); done <- err }()
		<-reached
		cancel()
		if <-done == nil {
			t.Error("Begin succeeded without an answer")
		}
		must(t, c.Release())
		if n := k.rows(); n != "0" {
			t.Errorf("%s rows are left", n)
		}
	})
	t.Run("queue", func(t *testing.T) { // the claim keeps its place in line
		k := newMutexKit(t)
		a, p := lossy(k)
		b := k.open("b")
		c, behind := k.claim(a, "k"), k.claim(b, "behind")
		reached := p.Hold(proxy.ToClient, commit)
		done, doneBehind := make(chan error, 1), make(chan error, 1)
		go func() { done <- c.Queue(t.Context(), oneM, ledger.Owner{}) }()
		<-reached
		go func() { doneBehind <- behind.Queue(t.Context(), oneM, ledger.Owner{}) }()
		eventually(t, func() bool { return k.rows() == "2" })
		p.Reset()
		must(t, <-done)
		k.taken(b, "the claim is first in line")
		must(t, c.Release())
		must(t, <-doneBehind)
		must(t, behind.Release())
	})
}

// TestMutexOfFrozenCall: a call that freezes in the middle of Begin does not stop other hosts.
func TestMutexOfFrozenCall(t *testing.T) {
	k := newMutexKit(t)
	p, err := proxy.Listen("tcp", "127.0.0.1:0", k.server.Addr())
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	a := k.openAt("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, k.schema, "sslmode=disable"), Options{})
	b := k.open("b")
	c := k.claim(a, "k")
	reached := p.Hold(proxy.ToServer, func(kind byte, body []byte) bool { return kind == 'P' && bytes.HasPrefix(body, []byte("\x00commit")) })
	done := make(chan error, 1)
	go func() { _, err := c.Begin(t.Context(), startM(oneM...)); done <- err }()
	<-reached
	p.Cut(proxy.ToServer) // a further try would find the place taken
	k.free(b, "the transaction of the frozen call was ended")
	p.Reset()
	p.Heal()
	must(t, <-done)
	must(t, c.Release())
}

// TestMutexBeforeCommit: while a Begin or a Queue is not committed, that of another host waits. So
// it sees the place that was taken, or is behind the other one in line.
func TestMutexBeforeCommit(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"begin", "queue"} {
		t.Run(how, func(t *testing.T) {
			k := newMutexKit(t)
			p, err := proxy.Listen("tcp", "127.0.0.1:0", k.server.Addr())
			must(t, err)
			t.Cleanup(func() { _ = p.Close() })
			a := k.openAt("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, k.schema, "sslmode=disable"), Options{})
			b := k.open("b")
			first, second := k.claim(a, "first"), k.claim(b, "second")
			get := func(c *claim) error {
				if how == "queue" {
					return c.Queue(t.Context(), oneM, ledger.Owner{})
				}
				_, err := c.Begin(t.Context(), startM(oneM...))
				return err
			}
			reached := p.Hold(proxy.ToServer, func(kind byte, body []byte) bool { return kind == 'P' && bytes.HasPrefix(body, []byte("\x00commit")) })
			done, doneSecond := make(chan error, 1), make(chan error, 1)
			go func() { done <- get(first) }()
			<-reached
			go func() { doneSecond <- get(second) }()
			waits := fmt.Sprintf("select count(*) from pg_locks where locktype = 'advisory' and not granted and classid::bigint << 32 | objid::bigint = %d", b.lockKey("n", "m"))
			eventually(t, func() bool { return k.server.Query(t, waits) != "0" })
			p.Heal()
			must(t, <-done)
			if how == "queue" {
				k.taken(a, "the first one is first in line")
				_, err := first.Begin(t.Context(), startM(oneM...))
				must(t, err)
			} else if err := <-doneSecond; !errors.As(err, new(*ledger.MutexError)) {
				t.Errorf("got error %v, want a *MutexError", err)
			}
			must(t, first.Release())
			if how == "queue" {
				must(t, <-doneSecond)
			}
			must(t, second.Release())
		})
	}
}
