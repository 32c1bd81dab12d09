package spool

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"idem/ledger"
)

// record writes pieces and closes the writer.
func record(t fataler, w *Writer, pieces []piece) Summary {
	t.Helper()
	for _, p := range pieces {
		w.Write(p.stream, p.bytes)
	}
	s, err := w.Close(false) // the tests do not depend on durability
	must(t, err)
	return s
}

// TestOutputComesBackExactly writes any output with any limit. An output within the limit
// comes back byte by byte in order. A longer output comes back as its head, the number of
// missing bytes, and its end.
func TestOutputComesBackExactly(t *testing.T) {
	files := newSpoolDir(t)
	rapid.Check(t, func(t *rapid.T) {
		// No smaller pieces: with tiny ones, the headers count too and less is kept, see
		// TestTinyPiecesAreCountedExactly.
		pieces, limit := anyPieces(headerSize).Draw(t, "pieces"), anyLimit().Draw(t, "limit")
		path, create := files.next()
		defer os.Remove(path)
		w := NewWriter(limit, time.Now().Add(anyStart().Draw(t, "start")), create)
		s := record(t, w, pieces)

		whole := flatten(pieces)
		total := int64(len(whole.bytes))
		want := kept{head: whole}
		if limit >= 0 && total > limit {
			tail := min(tailMax, limit/2)
			want = kept{head: whole.part(0, int(limit-tail)), tail: whole.part(int(total-tail), int(total)), gap: total - limit, gaps: 1}
		}
		r := open(t, s, path)
		defer r.Close()
		got := readAll(t, r)
		if !got.head.equal(want.head) || !got.tail.equal(want.tail) || got.gap != want.gap || got.gaps != want.gaps {
			t.Fatalf("got %d bytes, %d gaps of %d, %d bytes, want %d, %d of %d, %d", len(got.head.bytes), got.gaps, got.gap,
				len(got.tail.bytes), len(want.head.bytes), want.gaps, want.gap, len(want.tail.bytes))
		}
		if s.Bytes != total || s.Truncated != (want.gaps > 0) {
			t.Fatalf("got summary of %d bytes, truncated %t, want %d, %t", s.Bytes, s.Truncated, total, want.gaps > 0)
		}

		again := open(t, s, path)
		defer again.Close()
		var gaps ledger.Gaps
		for _, stream := range []ledger.Stream{ledger.Stdout, ledger.Stderr} {
			gaps.Add(stream, int64(len(whole.of(stream))-len(want.head.of(stream))-len(want.tail.of(stream))))
		}
		if g, err := again.Check(); err != nil || g != gaps {
			t.Fatalf("gaps: got %+v, %v, want %+v", g, err, gaps)
		}
		out, err, replay := replayed(t, again, files.dir)
		must(t, replay)
		if !bytes.Equal(out, append(want.head.of(1), want.tail.of(1)...)) || !bytes.Equal(err, append(want.head.of(2), want.tail.of(2)...)) {
			t.Fatalf("the replay differs from the output that Next returned")
		}
	})
}

// TestTinyPiecesAreCountedExactly writes pieces whose headers take more room than the end
// of the output may have. Less of the end is kept, and all missing bytes are counted.
func TestTinyPiecesAreCountedExactly(t *testing.T) {
	files := newSpoolDir(t)
	path, create := files.next()
	const limit, total = 2 * tailMax, tailMax + 400_000
	w := NewWriter(limit, time.Now(), create)
	output := make([]byte, total)
	_, _ = rand.NewChaCha8([32]byte{}).Read(output)
	var whole flat
	most, size := 0, 64<<10
	for i := 0; i < total; i += size {
		if i == limit-tailMax {
			size = 1 // from here on, the output goes to the tail in memory
		}
		p := output[i : i+size]
		s := ledger.Stream(1 + i/3%2)
		whole.add(s, p)
		w.Write(s, p)
		most = max(most, cap(w.small)+cap(w.tail.older)+cap(w.tail.new)+cap(w.scratch))
	}
	if most > InlineMax+8*tailMax {
		t.Errorf("the writer held %d bytes in memory", most)
	}
	s, err := w.Close(true)
	must(t, err)
	r := open(t, s, path)
	defer r.Close()
	got := readAll(t, r)
	h, n := len(got.head.bytes), len(got.tail.bytes)
	if h != limit-tailMax || !got.head.equal(whole.part(0, h)) || !got.tail.equal(whole.part(total-n, total)) ||
		got.gap != int64(total-h-n) || n == 0 || got.gaps != 1 || s.Bytes != total || !s.Truncated {
		t.Errorf("got %d bytes, a gap of %d, %d bytes; summary of %d bytes", h, got.gap, n, s.Bytes)
	}
}

func TestSmallOutputNeedsNoFile(t *testing.T) {
	none := func() (*os.File, error) { t.Error("a file was made"); return nil, errors.New("no") }
	for _, pieces := range [][]piece{nil, {{1, nil}}, {{1, []byte("out")}, {2, []byte("err")}}, {{2, make([]byte, InlineMax-headerSize)}}} {
		s := record(t, NewWriter(-1, time.Now(), none), pieces)
		if s.Inline == nil || s.Size != 0 || !readAll(t, OpenInline(s.Inline, s.Sum)).head.equal(flatten(pieces)) {
			t.Errorf("got %+v", s)
		}
	}
}

func TestLargeOutputIsOnlyInTheFile(t *testing.T) {
	path, create := newSpoolDir(t).next()
	s := record(t, NewWriter(-1, time.Now(), create), []piece{{1, make([]byte, InlineMax)}})
	info, err := os.Stat(path)
	must(t, err)
	if s.Inline != nil || s.Size != InlineMax+headerSize || info.Size() != s.Size {
		t.Errorf("got a summary of %d bytes, a file of %d, inline %t", s.Size, info.Size(), s.Inline != nil)
	}
}

// TestNothingIsKeptWithLimitZero checks that no file is created either.
func TestNothingIsKeptWithLimitZero(t *testing.T) {
	none := func() (*os.File, error) { t.Error("a file was made"); return nil, errors.New("no") }
	s := record(t, NewWriter(0, time.Now(), none), []piece{{1, make([]byte, 1<<20)}, {2, make([]byte, 1<<20)}})
	got := readAll(t, OpenInline(s.Inline, s.Sum))
	if got.gap != 2<<20 || len(got.head.bytes)+len(got.tail.bytes) > 0 || !s.Truncated || s.Bytes != 2<<20 {
		t.Errorf("got %d bytes, a gap of %d, %+v", len(got.head.bytes), got.gap, s)
	}
}

// TestOutputOfALongRunIsInTheFile checks that a second after the start, another process
// can read the output, so a kill does not lose it.
func TestOutputOfALongRunIsInTheFile(t *testing.T) {
	path, create := newSpoolDir(t).next()
	w := NewWriter(-1, time.Now(), create)
	w.Write(1, []byte("out"))
	w.Write(2, []byte("err"))
	r := Follow(func() (*os.File, error) { return os.Open(path) })
	defer r.Close()
	var got flat
	for begin := time.Now(); len(got.bytes) < 6 && time.Since(begin) < time.Minute; time.Sleep(10 * time.Millisecond) {
		got.add(0, readAll(t, r).head.bytes)
	}
	if string(got.bytes) != "outerr" {
		t.Fatalf("got %q", got.bytes)
	}
	w.Write(1, []byte("more")) // is in the file at once
	if more := readAll(t, r).head.bytes; string(more) != "more" {
		t.Errorf("got %q", more)
	}
	s, err := w.Close(true)
	must(t, err)
	if got := readAll(t, OpenInline(s.Inline, s.Sum)).head.bytes; string(got) != "outerrmore" {
		t.Errorf("got %q inline", got)
	}
}

// TestFollowSeesEverythingInOrder reads while the writer writes.
func TestFollowSeesEverythingInOrder(t *testing.T) {
	files := newSpoolDir(t)
	rapid.Check(t, func(t *rapid.T) {
		pieces := anyPieces(0).Draw(t, "pieces")
		path, create := files.next()
		defer os.Remove(path)
		w := NewWriter(-1, time.Now().Add(-time.Hour), create)
		written := make(chan Summary)
		go func() { written <- record(t, w, pieces) }()
		r := Follow(func() (*os.File, error) { return os.Open(path) })
		defer r.Close()
		var got flat
		more := func() {
			k := readAll(t, r)
			got.bytes, got.streams = append(got.bytes, k.head.bytes...), append(got.streams, k.head.streams...)
		}
		for ended := false; !ended; {
			var s Summary
			select {
			case s = <-written:
				ended = true
			default:
			}
			more()
			if ended && s.Inline != nil { // the output may never have been written to a file
				got = readAll(t, OpenInline(s.Inline, s.Sum)).head
			}
		}
		if !got.equal(flatten(pieces)) {
			t.Fatalf("got %d bytes, want %d", len(got.bytes), len(flatten(pieces).bytes))
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{100, 64 << 10} {
		b.Run(map[int]string{100: "line", 64 << 10: "64KiB"}[size], func(b *testing.B) {
			p := make([]byte, size)
			_, create := newSpoolDir(b).next()
			w := NewWriter(1<<30, time.Now(), create)
			b.SetBytes(int64(size))
			for b.Loop() {
				w.Write(1, p)
			}
			_, _ = w.Close(false)
		})
	}
}

// TestFollowSeesTheEndOfASmallCutOutput follows a run whose output is cut in the middle.
// The reader sees the end too, even if the whole recording is small enough to be inline.
func TestFollowSeesTheEndOfASmallCutOutput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	w := NewWriter(1000, time.Now(), func() (*os.File, error) {
		return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	})
	w.Write(ledger.Stdout, bytes.Repeat([]byte("a"), 5000))
	w.spillNow() // as the timer does after a second
	w.Write(ledger.Stdout, []byte("the end"))
	if _, err := w.Close(true); err != nil {
		t.Fatal(err)
	}
	w.spillNow() // the timer may fire late
	r := Follow(func() (*os.File, error) { return os.Open(path) })
	defer r.Close()
	var last []byte
	for {
		c, err := r.Next()
		if err != nil {
			break
		}
		last = append(last, c.Bytes...)
	}
	if !bytes.HasSuffix(last, []byte("the end")) {
		t.Errorf("the follower saw %d bytes, ending in %q", len(last), last[max(0, len(last)-10):])
	}
}

// TestWriteBackStartsEarly: the kernel is told early to write a large output to the disk.
func TestWriteBackStartsEarly(t *testing.T) {
	_, create := newSpoolDir(t).next()
	w := NewWriter(-1, time.Now(), create)
	piece := make([]byte, 512<<10)
	for range 50 {
		w.Write(ledger.Stdout, piece)
		if left := w.Written() - w.back.told; left < 0 || left >= backAt {
			t.Fatalf("after %d bytes: %d of them were left", w.Written(), left)
		}
		w.back.wait() // else the next write may find it busy, and leave more
	}
	if s, err := w.Close(false); err != nil || s.Size-w.back.told >= backAt {
		t.Errorf("got %d of %d bytes, error %v", w.back.told, s.Size, err)
	}
}
