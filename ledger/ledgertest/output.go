package ledgertest

import (
	"fmt"
	"time"

	"idem/ledger"
)

var outputCases = []testCase{
	{"OutputMissing", outputMissing, nil},
	{"OutputEmpty", outputEmpty, nil},
	{"OutputSizes", outputSizes, nil},
	{"OutputLarge", outputLarge, nil},
	{"OutputOfEachAttempt", outputOfEachAttempt, nil},
	{"OutputWhileRunning", outputWhileRunning, nil},
	{"OutputOfInterrupted", outputOfInterrupted, nil},
	{"MaxOutputKeepsHeadAndTail", maxOutputKeepsHeadAndTail, nil},
	{"MaxOutputIsExact", maxOutputIsExact, nil},
	{"MaxOutputZeroKeepsNothing", maxOutputZeroKeepsNothing, nil},
}

func outputMissing(k *kit) {
	id := key("k")
	done := k.run(k.a, id, success)
	k.run(k.a, key("other"), success)
	for _, runID := range []string{newRunID(), "", "..", "../ledger.db", "k"} {
		_, err := k.b.Output(k.ctx, id, runID)
		k.is(err, ledger.ErrNotFound, fmt.Sprintf("Output of run %q", runID))
	}
	for _, other := range []ledger.ID{key("other"), key("never"), {Namespace: "default", Key: "k", Window: "w"}} {
		_, err := k.b.Output(k.ctx, other, done.RunID)
		k.is(err, ledger.ErrNotFound, fmt.Sprintf("Output of another key's run under %+v", other))
	}
}

func outputEmpty(k *kit) {
	id := key("k")
	k.exactly(id, k.run(k.a, id, success), nil)
	k.exactly(id, k.record(id, []ledger.Chunk{{Stream: ledger.Stdout}, {Stream: ledger.Stderr}}, -1), nil)
}

// outputSizes records binary outputs of small and large sizes, which a ledger may store
// differently.
func outputSizes(k *kit) {
	id := key("k")
	k.exactly(id, k.record(id, []ledger.Chunk{
		{Stream: ledger.Stderr, Bytes: []byte("\x00")},
		{Stream: ledger.Stdout, Bytes: []byte("a\x00b\r\n\xff\xfe")},
		{Stream: ledger.Stdout, Bytes: []byte("\xc3")}, // the first and
		{Stream: ledger.Stderr, Bytes: []byte("\n")},
		{Stream: ledger.Stdout, Bytes: []byte("\xa9")}, // the second byte of one character
	}, -1), []ledger.Chunk{
		{Stream: ledger.Stderr, Bytes: []byte("\x00")},
		{Stream: ledger.Stdout, Bytes: []byte("a\x00b\r\n\xff\xfe\xc3")},
		{Stream: ledger.Stderr, Bytes: []byte("\n")},
		{Stream: ledger.Stdout, Bytes: []byte("\xa9")},
	})
	for _, size := range []int{1, 4 << 10, 32 << 10, 64 << 10, 1 << 20} {
		for _, n := range []int{size - 1, size, size + 1} {
			ps := pieces(n)
			k.exactly(id, k.record(id, ps, -1), ps)
			one := []ledger.Chunk{{Stream: ledger.Stderr, Bytes: flatten(ps).bytes}}
			k.exactly(id, k.record(id, one, -1), one)
		}
	}
}

func outputLarge(k *kit) {
	id, ps := key("k"), pieces(5<<20)
	k.exactly(id, k.record(id, ps, -1), ps)
}

// outputOfEachAttempt: a later attempt does not change the output of an earlier one.
func outputOfEachAttempt(k *kit) {
	id := key("k")
	sizes := []int{10, 200 << 10, 0, 11}
	var done []ledger.Attempt
	for _, n := range sizes {
		done = append(done, k.record(id, pieces(n), -1))
	}
	k.abandon(id)
	k.mark(k.a, id, ledger.None)
	for i, n := range sizes {
		k.exactly(id, done[i], pieces(n))
	}
}

// follows checks that what was read is the beginning of what was written. Without LateOutput, a
// ledger may hold back at most the last 64 KiB. With it, the output is read until that is so.
func (k *kit) follows(what string, written []ledger.Chunk, read func() []ledger.Chunk) {
	k.Helper()
	w := flatten(written)
	for {
		g := flatten(read())
		if !w.has(g, 0) {
			k.Fatalf("%s: read %d bytes that differ from the written ones", what, len(g.bytes))
		}
		behind := len(w.bytes) - len(g.bytes)
		if behind <= 64<<10 {
			return
		}
		if !k.h.LateOutput || k.ctx.Err() != nil {
			k.Fatalf("%s: reads %d bytes less than the %d written", what, behind, len(w.bytes))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// outputWhileRunning reads while the attempt writes.
func outputWhileRunning(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	runID := x.Attempt().RunID
	out := k.openOutput(k.b, id, runID)
	if ps := k.next(out); len(ps) != 0 {
		k.Errorf("nothing was written, read %d pieces", len(ps))
	}

	all := pieces(900 << 10)
	var read []ledger.Chunk
	third := len(all) / 3
	for i, part := range [][]ledger.Chunk{all[:third], all[third : 2*third], all[2*third:]} {
		write(x, part)
		written := all[:min((i+1)*third, len(all))]
		if i == 2 {
			written = all
		}
		k.follows("a reader from the start", written, func() []ledger.Chunk {
			read = append(read, k.next(out)...)
			return read
		})
		k.follows("a new reader", written, func() []ledger.Chunk { return k.output(k.b, id, runID) })
		k.follows("a new reader of the same process", written, func() []ledger.Chunk { return k.output(k.a, id, runID) })
	}
	k.ok(out.Close(), "Close of an output")
	a := k.finish(x, success)
	k.release(c)
	k.exactly(id, a, all)
}

// outputOfInterrupted: the recorded output of an interrupted attempt can be read. It helps
// the user to find out how far the command got.
func outputOfInterrupted(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	all := pieces(300 << 10)
	write(x, all)
	k.release(c)
	check := func(when string) {
		k.Helper()
		k.follows(when, all, func() []ledger.Chunk { return k.output(k.b, id, x.Attempt().RunID) })
	}
	check("interrupted")
	k.run(k.b, id, success)
	check("lost")
}

// kept checks that the recording of ps is a head and a tail of it within the limit keep. It
// returns the lengths of both.
func (k *kit) kept(id ledger.ID, a ledger.Attempt, ps []ledger.Chunk, keep int64) (head, tail int) {
	k.Helper()
	w := flatten(ps)
	if a.OutputBytes != int64(len(w.bytes)) || !a.Truncated {
		k.Errorf("wrote %d bytes, recorded are OutputBytes %d, Truncated %t", len(w.bytes), a.OutputBytes, a.Truncated)
	}
	var sides [2][]ledger.Chunk
	side, dropped := 0, int64(0)
	for _, c := range k.output(k.b, id, a.RunID) {
		if c.Dropped == 0 {
			sides[side] = append(sides[side], c)
			continue
		}
		if len(sides[1]) > 0 {
			k.Fatal("bytes were dropped in two places")
		}
		if c.Stream == 0 {
			k.Error("it isn't known of which stream bytes were dropped")
		}
		side, dropped = 1, dropped+c.Dropped
	}
	h, t := flatten(sides[0]), flatten(sides[1])
	kept := int64(len(h.bytes) + len(t.bytes))
	if kept > keep || kept+dropped != a.OutputBytes {
		k.Errorf("of %d bytes, %d to be kept: %d kept, %d dropped", a.OutputBytes, keep, kept, dropped)
	}
	if !w.has(h, 0) {
		k.Errorf("the first %d bytes differ from the written ones", len(h.bytes))
	}
	if !w.has(t, len(w.bytes)-len(t.bytes)) {
		k.Errorf("the last %d bytes differ from the written ones", len(t.bytes))
	}
	return len(h.bytes), len(t.bytes)
}

func maxOutputKeepsHeadAndTail(k *kit) {
	id := key("k")
	for _, size := range []struct{ keep, total int }{
		{4 << 20, 4<<20 + 1}, {4 << 20, 5 << 20}, {4 << 20, 12 << 20},
	} {
		ps := pieces(size.total)
		head, tail := k.kept(id, k.record(id, ps, int64(size.keep)), ps, int64(size.keep))
		if head < size.keep/2 || tail == 0 {
			k.Errorf("of %d bytes, %d to be kept: kept %d and %d", size.total, size.keep, head, tail)
		}
	}
	for _, keep := range []int64{1, 100, 40 << 10, 100 << 10} {
		ps := pieces(300 << 10)
		head, tail := k.kept(id, k.record(id, ps, keep), ps, keep)
		if head+tail == 0 {
			k.Errorf("%d bytes to be kept: kept none", keep)
		}
	}
}

// maxOutputIsExact: output of exactly the limit is not truncated.
func maxOutputIsExact(k *kit) {
	id := key("k")
	for _, n := range []int{0, 1, 1000, 40 << 10, 2 << 20} {
		ps := pieces(n)
		k.exactly(id, k.record(id, ps, int64(n)), ps)
	}
}

func maxOutputZeroKeepsNothing(k *kit) {
	id := key("k")
	for _, n := range []int{1, 300 << 10} {
		ps := pieces(n)
		a := k.record(id, ps, 0)
		if a.OutputBytes != int64(n) || a.Truncated || !a.NoOutput {
			k.Errorf("wrote %d bytes: got %+v, want NoOutput", n, a)
		}
		if chunks := k.output(k.b, id, a.RunID); len(chunks) > 0 {
			k.Errorf("wrote %d bytes: got %d chunks, want none", n, len(chunks))
		}
	}
}
