package ledgertest

import (
	"bytes"

	"idem/ledger"
)

var captureCases = []testCase{
	{"CaptureIsRecorded", captureIsRecorded, nil},
	{"CaptureOfMark", captureOfMark, nil},
	{"UnreadOutputIsAGap", unreadOutputIsAGap, nil},
	{"GapsOfEachStream", gapsOfEachStream, nil},
	{"CheckOfRunning", checkOfRunning, nil},
}

// captures returns combinations of all fields of a Capture.
func captures() []ledger.Capture {
	var all []ledger.Capture
	for _, incomplete := range []bool{false, true} {
		for _, redacted := range []bool{false, true} {
			for _, unread := range []ledger.Gaps{{}, {Stdout: 3}, {Stderr: 5}, {Stdout: 7, Stderr: 1 << 40}, {Unknown: 2}} {
				all = append(all, ledger.Capture{Incomplete: incomplete, Redacted: redacted, Unread: unread})
			}
		}
	}
	return all
}

func (k *kit) finished(id ledger.ID, keep int64, ps []ledger.Chunk, capture ledger.Capture) ledger.Attempt {
	k.Helper()
	c := k.claim(k.a, id)
	s := newStart()
	s.MaxOutput = keep
	x := k.beginWith(c, s)
	write(x, ps)
	o := success
	o.Capture = capture
	a := k.finish(x, o)
	k.release(c)
	return a
}

// gaps returns the gaps of an attempt's output. It checks that both handles agree.
func (k *kit) gaps(id ledger.ID, a ledger.Attempt) ledger.Gaps {
	k.Helper()
	var gaps [2]ledger.Gaps
	for i, l := range []ledger.Ledger{k.a, k.b} {
		out := k.openOutput(l, id, a.RunID)
		g, err := out.Check()
		k.ok(err, "Check")
		again, err := out.Check()
		k.ok(err, "second Check")
		k.same(again, g, "second Check")
		k.ok(out.Close(), "Close of an output")
		gaps[i] = g
	}
	k.same(gaps[1], gaps[0], "gaps")
	return gaps[0]
}

func (k *kit) captured(id ledger.ID, a ledger.Attempt, written int64, c ledger.Capture) {
	k.Helper()
	want := ledger.Attempt{
		Incomplete: c.Incomplete, Redacted: c.Redacted, Truncated: c.Unread.Total() > 0, OutputBytes: written + c.Unread.Total(),
	}
	for _, a := range []ledger.Attempt{a, k.get(k.a, id).Current, k.get(k.b, id).Current} {
		k.same(ledger.Attempt{Incomplete: a.Incomplete, Redacted: a.Redacted, Truncated: a.Truncated, OutputBytes: a.OutputBytes}, want, "capture")
	}
	k.same(k.gaps(id, a), c.Unread, "gaps")
}

func captureIsRecorded(k *kit) {
	id := key("k")
	for _, c := range captures() {
		k.captured(id, k.finished(id, -1, pieces(100), c), 100, c)
	}
	c := ledger.Capture{Incomplete: true, Redacted: true}
	a := k.finished(id, 0, pieces(100), c)
	if !a.NoOutput || a.Truncated || !a.Incomplete || !a.Redacted {
		k.Errorf("of output that is not kept: got %+v", a)
	}
}

func captureOfMark(k *kit) {
	id := key("k")
	for _, c := range captures() {
		m := newMark(k.get(k.a, id), ledger.Succeeded)
		out := bytes.NewReader([]byte("of the mark"))
		m.Stdout, m.MaxOutput = out, -1
		m.Capture = func() ledger.Capture {
			if out.Len() > 0 {
				k.Error("Capture is asked before Stdout is at its end")
			}
			return c
		}
		k.captured(id, k.markWith(k.a, id, m), 11, c)
	}
}

// unreadOutputIsAGap: unread output is a gap after all kept output, whatever the size.
func unreadOutputIsAGap(k *kit) {
	id := key("k")
	unread := ledger.Gaps{Stdout: 10, Stderr: 20}
	for _, n := range []int{0, 1, 32 << 10, 300 << 10, 3 << 20} {
		a := k.finished(id, -1, pieces(n), ledger.Capture{Unread: unread})
		k.same(k.gaps(id, a), unread, "gaps")
		chunks := k.output(k.b, id, a.RunID)
		var after bool
		for _, c := range chunks {
			if after && c.Dropped == 0 {
				k.Error("there is output after the gap of unread output")
			}
			after = after || c.Dropped > 0
		}
		if got, want := flatten(chunks), flatten(pieces(n)); len(got.bytes) != n || !want.has(got, 0) {
			k.Errorf("wrote %d bytes, read %d others", n, len(got.bytes))
		}
	}
}

// gapsOfEachStream: a replay of one stream must know whether it lacks something.
func gapsOfEachStream(k *kit) {
	id := key("k")
	of := func(s ledger.Stream, n int) []ledger.Chunk {
		return []ledger.Chunk{{Stream: s, Bytes: make([]byte, n)}}
	}
	for _, test := range []struct {
		keep int64
		ps   []ledger.Chunk
		want ledger.Gaps
	}{
		{1000, of(ledger.Stdout, 1000), ledger.Gaps{}},
		{1000, of(ledger.Stdout, 5000), ledger.Gaps{Stdout: 4000}},
		{1000, of(ledger.Stderr, 5000), ledger.Gaps{Stderr: 4000}},
		{3 << 20, of(ledger.Stderr, 20<<20), ledger.Gaps{Stderr: 17 << 20}},
		{100 << 10, of(ledger.Stdout, 300<<10), ledger.Gaps{Stdout: 200 << 10}},
	} {
		k.same(k.gaps(id, k.record(id, test.ps, test.keep)), test.want, "gaps")
	}
	// A little stdout at the beginning, and then much stderr.
	mixed := append(of(ledger.Stdout, 10), of(ledger.Stderr, 9<<20)...)
	g := k.gaps(id, k.record(id, mixed, 4<<20))
	if g.Stdout != 0 || g.Stderr == 0 || g.Unknown != 0 {
		k.Errorf("only stderr was cut: got %+v", g)
	}
	mixed = append(mixed, of(ledger.Stdout, 9<<20)...)
	a := k.record(id, mixed, 4<<20)
	g = k.gaps(id, a)
	kept := int64(len(flatten(k.output(k.a, id, a.RunID)).bytes))
	if g.Stdout == 0 || g.Stderr == 0 || g.Unknown != 0 || g.Total()+kept != a.OutputBytes {
		k.Errorf("both streams were cut, %d of %d bytes are kept: got %+v", kept, a.OutputBytes, g)
	}
}

func checkOfRunning(k *kit) {
	id := key("k")
	x := k.begin(k.claim(k.a, id))
	write(x, pieces(300<<10))
	k.same(k.gaps(id, x.Attempt()), ledger.Gaps{}, "gaps")
}
