package ledgertest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"idem/ledger"
)

// Benchmark measures the cost of the steps of a run, with one handle on a ledger that has
// some history.
func Benchmark(b *testing.B, h Harness) {
	l, err := h.Open(h.New(b))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	ctx := b.Context()

	claim := func(b *testing.B, id ledger.ID) ledger.Claim {
		c, err := l.Claim(ctx, id)
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	release := func(b *testing.B, c ledger.Claim) {
		if err := c.Release(); err != nil {
			b.Fatal(err)
		}
	}
	begin := func(b *testing.B, c ledger.Claim) ledger.Execution {
		x, err := c.Begin(ctx, newStart())
		if err != nil {
			b.Fatal(err)
		}
		x.Write(ledger.Stdout, []byte("done\n"))
		return x
	}
	finish := func(b *testing.B, x ledger.Execution) {
		if _, err := x.Finish(ctx, success); err != nil {
			b.Fatal(err)
		}
	}
	run := func(b *testing.B, id ledger.ID) {
		c := claim(b, id)
		finish(b, begin(b, c))
		release(b, c)
	}
	get := func(b *testing.B, id ledger.ID, want ledger.Phase) {
		r, err := l.Get(ctx, id)
		if err != nil {
			b.Fatal(err)
		}
		if r.Phase() != want {
			b.Fatalf("got phase %s, want %s", r.Phase(), want)
		}
	}
	for i := range 100 {
		run(b, key(fmt.Sprint("history ", i)))
	}

	b.Run("GetHit", func(b *testing.B) {
		for b.Loop() {
			get(b, key("history 50"), ledger.PhaseSucceeded)
		}
	})
	b.Run("GetMiss", func(b *testing.B) {
		for b.Loop() {
			get(b, key("never"), ledger.PhaseNone)
		}
	})
	b.Run("ClaimRelease", func(b *testing.B) {
		for b.Loop() {
			release(b, claim(b, key("history 50")))
		}
	})
	b.Run("Finish", func(b *testing.B) {
		n := 0
		for b.Loop() {
			b.StopTimer()
			n++
			c := claim(b, key(fmt.Sprint("finish ", n)))
			x := begin(b, c)
			b.StartTimer()
			finish(b, x)
			b.StopTimer()
			release(b, c)
			b.StartTimer()
		}
	})
	b.Run("ClaimBeginFinish", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			run(b, key(fmt.Sprint(n)))
		}
	})
	for _, workers := range []int{1, 2, 8, 32} {
		b.Run(fmt.Sprint("Batch", workers), func(b *testing.B) {
			defer ledger.Sustain(l)()
			var next atomic.Int64
			var all sync.WaitGroup
			batch := newRunID()
			begun := func() (c ledger.Claim, x ledger.Execution) {
				if n := next.Add(1); n <= int64(b.N) {
					c = claim(b, key(fmt.Sprint(batch, "/", n)))
					x = begin(b, c)
					if i, ok := x.(ledger.Inheriting); ok {
						i.Descriptors() // as the start of a command
					}
				}
				return c, x
			}
			b.ResetTimer()
			for range workers {
				all.Go(func() {
					for c, x := begun(); x != nil; {
						var after ledger.Claim
						var then ledger.Execution
						ledger.Together(b.Context(), l, func(context.Context) { finish(b, x) }, func(context.Context) { after, then = begun() })
						release(b, c)
						c, x = after, then
					}
				})
			}
			all.Wait()
		})
	}
}
