package batch

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"idem/ledger"
)

// Skipped items and duplicates print what is recorded, so two calls print the same.
func TestReplay(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, false)
	first := k.item("first").attempt(-1)
	for _, name := range []string{"a", "b"} {
		k.item(name).attempt(-1).out(name + "1\n").err(name + "2\n").end(0)
		k.item(name).Replay()
	}
	k.item("none").Replay()
	k.item("cut").attempt(2).out("cut").end(0)
	first.end(0)
	r := k.want("a1\na1\nb1\nb1\ncut", "a2\na2\nb2\nb2\n")
	if r.Lacking != 1 || r.FirstLacking != idOf("none") {
		t.Errorf("got %+v", r)
	}
	again := newRig(t, PrinterOptions{Order: OrderDone}, false)
	again.ledger, again.o.Ledger = k.ledger, k.ledger
	for _, name := range []string{"a", "a", "cut", "b"} {
		again.item(name).Replay()
	}
	r = again.want("a1\na1\ncub1\n", "a2\na2\nb2\n")
	if r.Lacking != 1 || r.FirstLacking != idOf("cut") || r.Cut != 1 {
		t.Errorf("got %+v", r)
	}
	unstored := newRig(t, PrinterOptions{}, false)
	unstored.item("a").attempt(0).out("a").end(0)
	unstored.item("a").Replay()
	if r = unstored.want("a", ""); r.Lacking != 1 || r.Cut != 0 {
		t.Errorf("got %+v", r)
	}
	failed := newRig(t, PrinterOptions{FailedOnly: true}, false)
	failed.item("bad").attempt(-1).out("bad\n").end(1)
	failed.item("good").attempt(-1).out("good\n").end(0)
	for _, name := range []string{"good", "bad"} {
		failed.item(name).Replay()
	}
	failed.want("bad\nbad\n", "")
}

// An item that another process forgets before its output is read lacks it.
func TestForgottenOutput(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, true)
	first := k.item("first").attempt(-1)
	a, b := k.item("a").attempt(-1), k.item("b").attempt(-1)
	text := strings.Repeat("a", 3<<20)
	a.out(text).end(0)
	b.out(text).end(0)
	must(t, k.ledger.Forget(t.Context(), a.id))
	first.end(0)
	k.outs[0].begin()
	k.outs[1].begin()
	r, out, _ := k.all()
	if len(out) < 3<<20 || len(out) >= 6<<20 {
		t.Errorf("%d bytes are printed", len(out))
	}
	if r.Lacking != 1 || r.FirstLacking != a.id || r.Why == nil {
		t.Errorf("got %+v", r)
	}
}

// Items of every kind at the same time print exactly their output, in order.
func TestRandomItems(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		k := newRig(t, PrinterOptions{}, false)
		k.most = 1 << 20
		var want [2]strings.Builder
		var tasks []func()
		for i := range 60 {
			most := []int64{-1, -1, 0, 50_000}[rnd.IntN(4)]
			it := k.item(fmt.Sprint(i))
			it.attempt(most)
			var todo []func()
			for range rnd.IntN(20) {
				s := ledger.Stream(1 + rnd.IntN(2))
				text := strings.Repeat(fmt.Sprint(i, " "), 1+rnd.IntN(1<<rnd.IntN(14)))
				want[index(s)].WriteString(text)
				todo = append(todo, func() { it.both(s, text) })
			}
			tasks = append(tasks, func() {
				for _, do := range todo {
					do()
				}
				it.end(1)
			})
		}
		slots := make(chan bool, 8)
		var all sync.WaitGroup
		for _, task := range tasks {
			slots <- true
			all.Go(func() { task(); <-slots })
		}
		all.Wait()
		if r := k.want(want[0].String(), want[1].String()); r.Lacking != 0 {
			t.Errorf("seed %d: got %+v", seed, r)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
