package postgres

import (
	"bytes"
	"context"
	"testing"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// TestMutexLostAnswers loses the answer to the commit of a Begin and of a Queue.
func TestMutexLostAnswers(t *testing.T) {
	commit := func(kind byte, body []byte) bool {
		return kind == 'P' && bytes.Contains(body, []byte("commit")) && len(body) < 20
	}
	lossy := func(k *mutexKit, o Options) (*Ledger, *proxy.Proxy) {
		p, err := proxy.Listen("tcp", "127.0.0.1:0", k.server.Addr())
		must(k.T, err)
		k.Cleanup(func() { _ = p.Close() })
		return k.openAt("a", pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, k.schema, "sslmode=disable"), o), p
	}
	lose := func(k *mutexKit, p *proxy.Proxy, do func() error) error {
		reached := p.Hold(proxy.ToClient, commit)
		done := make(chan error, 1)
		go func() { done <- do() }()
		<-reached
		p.Reset()
		return <-done
	}
	t.Run("begin", func(t *testing.T) {
		k := newMutexKit(t)
		a, p := lossy(k, Options{})
		b := k.open("b")
		c := k.claim(a, "k")
		must(t, lose(k, p, func() error { _, err := c.Begin(t.Context(), startM(oneM...)); return err }))
		k.taken(b, "the mutex is held")
		must(t, c.Release())
		k.free(b, "the claim is released")
	})
	t.Run("begin again", func(t *testing.T) { // the call does not learn what became of the first Begin
		k := newMutexKit(t)
		a, p := lossy(k, Options{})
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
	t.Run("queue", func(t *testing.T) {
		k := newMutexKit(t)
		a, p := lossy(k, Options{})
		b := k.open("b")
		c := k.claim(a, "k")
		must(t, lose(k, p, func() error { return c.Queue(t.Context(), oneM, ledger.Owner{}) }))
		if n := k.rows(); n != "1" {
			t.Errorf("the claim has %s rows in line", n)
		}
		k.taken(b, "the claim is first in line")
		must(t, c.Release())
		k.free(b, "the claim is released")
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
	k.free(b, "the transaction of the frozen call was ended")
	p.Reset()
	must(t, <-done)
	must(t, c.Release())
}
