package batch

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"idem/ledger"
)

func TestInputOrder(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, false)
	a, b, c, d := k.item("a"), k.item("b"), k.item("c"), k.item("d")
	for _, it := range []*item{a, b, c, d} {
		it.attempt(-1)
	}
	for range 2 {
		c.out("c1\n").err("c2\n")
		a.out("a1\n")
		b.err("b1\n")
	}
	c.end(0)
	b.end(1)
	d.end(0)
	a.end(0)
	r := k.want("a1\na1\nc1\nc1\n", "b1\nb1\nc2\nc2\n")
	if r.Lacking != 0 || r.Faults != nil {
		t.Errorf("got %+v", r)
	}
}

// The first item is live, and so is the next one when the first has ended.
func TestFirstItemIsLive(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, false)
	a, b := k.item("a").attempt(-1), k.item("b").attempt(-1)
	b.out("b1 ")
	a.out("a1 ")
	same(t, "stdout", k.outs[0].until("a1 "), "a1 ")
	a.err("a2 ")
	same(t, "stderr", k.outs[1].until("a2 "), "a2 ")
	a.end(0)
	same(t, "stdout", k.outs[0].until("b1 "), "a1 b1 ")
	b.out("b2")
	same(t, "stdout", k.outs[0].until("b2"), "a1 b1 b2")
	b.end(0)
	k.want("a1 b1 b2", "a2 ")
}

func TestOrderDone(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{Order: OrderDone}, false)
	a, b := k.item("a").attempt(-1), k.item("b").attempt(-1)
	a.out("a1 ")
	b.out("b1 ")
	a.out("a2 ")
	b.end(0)
	same(t, "stdout", k.outs[0].until("b1 "), "b1 ")
	a.end(0)
	k.want("b1 a1 a2 ", "")
}

func TestDroppedItems(t *testing.T) {
	t.Parallel()
	for _, order := range []Order{OrderInput, OrderDone} {
		k := newRig(t, PrinterOptions{Order: order}, false)
		k.item("refused").Drop()
		a, b, c := k.item("a"), k.item("b").attempt(-1), k.item("c").attempt(-1)
		b.out("b")
		b.Drop()
		b.out("late") // a process that it left behind
		c.out("c")
		a.Drop()
		c.end(0)
		k.item("never ended")
		k.want("c", "")
	}
}

func TestFailedOnly(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{FailedOnly: true}, false)
	a, b := k.item("a").attempt(-1), k.item("b").attempt(-1)
	a.out("a1\n").finish(3).attempt(-1).out("a2\n").end(0)
	b.out("b1\n").finish(3).attempt(-1).out("b2\n").end(3)
	c := k.item("c").attempt(0)
	c.out(strings.Repeat("c", 4<<20)).end(0) // not printed, so nothing is lost
	d := k.item("d").attempt(0)
	d.out(strings.Repeat("d", 4<<20)).end(1) // nothing waits for memory
	r, out, _ := k.all()
	if !strings.HasPrefix(out, "b1\nb2\nddd") || len(out) < 1<<20 {
		t.Errorf("stdout has %d bytes: %.20q", len(out), out)
	}
	if r.Lacking != 1 || r.FirstLacking != d.id {
		t.Errorf("got %+v", r)
	}
}

func TestAttemptsInOrder(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, false)
	first := k.item("first").attempt(-1)
	it := k.item("a")
	var want strings.Builder
	for i := range 3 {
		text := strings.Repeat(fmt.Sprint(i, "\n"), 500_000)
		want.WriteString(text)
		it.attempt(-1).out(text).finish(1)
	}
	it.attempt(-1).out("done\n").end(0)
	first.end(0)
	k.want(want.String()+"done\n", "")
}

// Output for which there is no memory is read from the ledger, and nothing waits.
func TestHeldOutputIsBounded(t *testing.T) {
	t.Parallel()
	for _, order := range []Order{OrderInput, OrderDone} {
		k := newRig(t, PrinterOptions{Order: order}, true) // nothing is read yet
		first := k.item("first").attempt(-1)
		first.out(strings.Repeat("first", 1<<20))
		var out, errOut strings.Builder
		for i := range 200 {
			it := k.item(fmt.Sprint(i)).attempt(-1)
			for n := range 10 {
				text := fmt.Sprintf("%d %d %s\n", i, n, strings.Repeat("x", 5000))
				out.WriteString(text)
				errOut.WriteString(text[:20])
				it.out(text).err(text[:20])
				if used, told := k.memory(); used > k.most || max(used-told, told-used) >= heldStep {
					t.Fatalf("%d bytes are held, and %d are known as held", used, told)
				}
			}
			it.end(0)
		}
		first.end(0)
		for _, r := range k.outs {
			r.begin()
		}
		want := strings.Repeat("first", 1<<20) + out.String()
		if order == OrderDone {
			want = out.String() + strings.Repeat("first", 1<<20)
		}
		if r := k.want(want, errOut.String()); r.Lacking != 0 {
			t.Errorf("got %+v", r)
		}
	}
}

// The output of a running command is read from the ledger too, and passed on before the
// command ends.
func TestSlowReaderStopsNoCommand(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, true)
	it := k.item("a").attempt(-1)
	var out, errOut strings.Builder
	for i := range 500 {
		text := fmt.Sprintf("%d %s\n", i, strings.Repeat("y", 20_000))
		out.WriteString(text)
		errOut.WriteString(text[:10])
		it.out(text).err(text[:10])
	}
	k.outs[0].begin()
	k.outs[1].begin()
	it.out("the end\n")
	k.outs[0].until("the end\n")
	it.end(0)
	if r := k.want(out.String()+"the end\n", errOut.String()); r.Lacking != 0 {
		t.Errorf("got %+v", r)
	}
}

// Output that the ledger does not keep is never dropped: commands wait instead.
func TestUnrecordedOutputWaits(t *testing.T) {
	t.Parallel()
	for _, order := range []Order{OrderInput, OrderDone} {
		for _, most := range []int64{0, 700_000, 2 << 20} {
			k := newRig(t, PrinterOptions{Order: order}, false)
			var all sync.WaitGroup
			var want [4]string
			for i := range want {
				text := strings.Repeat(string(rune('a'+i)), 3<<20)
				want[i] = text
				it := k.item(fmt.Sprint(i)).attempt(most)
				all.Go(func() {
					for len(text) > 0 {
						n := min(len(text), 100_000)
						it.out(text[:n])
						text = text[n:]
					}
					it.end(0)
				})
			}
			all.Wait()
			r, got, _ := k.all()
			if order == OrderInput {
				same(t, "stdout", got, strings.Join(want[:], ""))
			}
			for _, text := range want {
				if !strings.Contains(got, text) {
					t.Errorf("order %d, most %d: the output of an item is not in one piece", order, most)
				}
			}
			if r.Lacking != 0 {
				t.Errorf("order %d, most %d: got %+v", order, most, r)
			}
		}
	}
}

// Commands that wait for room would never end if the first item needs one of their slots.
func TestUnrecordedOutputBehindAnItemThatDoesNotRun(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, false)
	first := k.item("first")
	first.attempt(0).out("1 ").finish(1).Pause()
	second := k.item("second")
	var all sync.WaitGroup
	text := strings.Repeat("x", 5<<20)
	var others []*item
	for i := range 3 {
		it := k.item(fmt.Sprint(i)).attempt(0)
		others = append(others, it)
		all.Go(func() { it.out(text); it.finish(1).Pause() })
	}
	all.Wait()
	for _, it := range others {
		it.attempt(0).end(0)
	}
	first.attempt(0).out("2 ").end(0)
	second.attempt(0).out("3 ").end(0)
	r := k.want("1 "+text+text+text+"2 3 ", "")
	if r.Lacking != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestHurry(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, true)
	it := k.item("a").attempt(0)
	written := make(chan bool)
	go func() {
		it.out(strings.Repeat("a", 5<<20))
		it.end(0)
		close(written)
	}()
	k.Hurry()
	<-written
	k.outs[0].begin()
	k.outs[1].begin()
	if r, _, _ := k.all(); r.Lacking != 1 || r.Cut != 1 {
		t.Errorf("got %+v", r)
	}
}

// A call that ends does not wait for its reader longer than its context.
func TestCloseGivesUp(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, true)
	it := k.item("a").attempt(-1)
	it.out(strings.Repeat("a", 1<<20)).end(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.Close(ctx)
	k.outs[0].begin()
	<-k.done
}

func TestReaderGone(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, true)
	k.outs[0].r.Close()
	k.outs[1].begin()
	var want strings.Builder
	for i := range 100 {
		it := k.item(fmt.Sprint(i)).attempt(0)
		it.out(strings.Repeat("o", 100_000)).err("e\n").end(0)
		want.WriteString("e\n")
	}
	r := k.Close(t.Context())
	k.w[1].Close()
	same(t, "stderr", k.outs[1].until(""), want.String())
	if r.Faults != nil || r.Lacking != 0 {
		t.Errorf("got %+v", r)
	}
}

// The printer still prints the other stream, held or read from the ledger.
func TestReaderGoneOfOneStream(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, true)
	it := k.item("a").attempt(-1)
	var want strings.Builder
	for i := range 500 {
		text := fmt.Sprintf("%d %s\n", i, strings.Repeat("e", 10_000))
		want.WriteString(text)
		it.out(text).err(text)
		if i == 400 {
			k.outs[0].r.Close()
		}
	}
	k.outs[1].begin()
	it.end(0)
	r := k.Close(t.Context())
	k.w[1].Close()
	same(t, "stderr", k.outs[1].until(""), want.String())
	if r.Faults != nil || r.Lacking != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestWriteFault(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("the test writes to /dev/full, a device of Linux")
	}
	defer full.Close()
	k := newRig(t, PrinterOptions{}, false)
	k.screen.o.Stdout = full
	for i := range 100 {
		k.item(fmt.Sprint(i)).attempt(0).out(strings.Repeat("o", 100_000)).err("e").end(0)
	}
	r, _, errOut := k.all()
	same(t, "stderr", errOut, strings.Repeat("e", 100))
	if len(r.Faults) != 1 || !strings.Contains(r.Faults[0].Error(), "no space left") {
		t.Errorf("got %v", r.Faults)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	k := newRig(t, PrinterOptions{}, false)
	for _, name := range []string{"a", "b"} {
		it := k.Item(idOf(name), name)
		it.Attempt("run", 0)
		for _, text := range []string{"1\n\n", "2", "", "3\n4"} {
			it.Write(ledger.Stdout, []byte(text))
			it.Write(ledger.Stderr, []byte("e"))
		}
		it.End(false)
	}
	k.want("a\t1\na\t\na\t23\na\t4\nb\t1\nb\t\nb\t23\nb\t4\n", "a\teeee\nb\teeee\n")
}
