package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"idem/ledger"
)

// piecesOf makes writes from a fuzzer's bytes, one from every three bytes. The first byte
// selects the stream and a unit. The other two are the length of the write in that unit.
func piecesOf(b []byte) []piece {
	var pieces []piece
	total := 0
	for len(b) >= 3 && total < 4*tailMax {
		n := int(b[1]) | int(b[2])<<8
		if b[0]&2 != 0 {
			n *= 37
		}
		p := piece{ledger.Stream(1 + b[0]&1), make([]byte, n)}
		for i := range p.bytes {
			p.bytes[i] = byte(i>>8) ^ byte(i) + b[0]
		}
		pieces, b, total = append(pieces, p), b[3:], total+n
	}
	return pieces
}

// FuzzWriter writes any output with any limit, inline and in a file. It checks that
//   - the recording is the output's beginning and end, and the rest is counted;
//   - a replay writes the recording;
//   - no more than the limit is kept.
func FuzzWriter(f *testing.F) {
	f.Add([]byte{}, int64(-1), false)
	f.Add([]byte("\x00\x03\x00\x01\x00\x00\x01\x05\x00"), int64(5), false)
	f.Add([]byte("\x00\xe8\x7f\x01\x00\x00"), int64(-1), false)
	f.Add([]byte("\x00\xe8\x7f\x01\x01\x00"), int64(InlineMax), true)
	f.Add([]byte("\x02\xff\xff\x03\xff\x7f\x00\x01\x00"), int64(2*tailMax+1), false)
	f.Add([]byte("\x02\xff\xff\x00\x01\x00\x01\x01\x00"), int64(0), true)
	f.Add(bytes.Repeat([]byte("\x00\x01\x00\x01\x01\x00"), 900), int64(1000), false)
	files := newSpoolDir(f)
	f.Fuzz(func(t *testing.T, program []byte, limit int64, old bool) {
		var since time.Duration
		if old {
			since = -time.Hour // the writer goes to the file at once
		}
		path, create := files.next()
		defer os.Remove(path)
		pieces := piecesOf(program)
		w := NewWriter(limit, time.Now().Add(since), create)
		s := record(t, w, pieces)
		whole := flatten(pieces)
		got := check(t, s, path, whole)
		kept := int64(len(got.head.bytes) + len(got.tail.bytes))
		if over := limit >= 0 && s.Bytes > limit; s.Truncated != over || over && kept > limit {
			t.Fatalf("limit %d: %d bytes of %d are kept, truncated is %t", limit, kept, s.Bytes, s.Truncated)
		}
		if s.Inline == nil && s.Size == 0 {
			return
		}
		r := open(t, s, path)
		defer r.Close()
		out, errs, replay := replayed(t, r, files.dir)
		must(t, replay)
		if !bytes.Equal(out, append(got.head.of(1), got.tail.of(1)...)) || !bytes.Equal(errs, append(got.head.of(2), got.tail.of(2)...)) {
			t.Fatal("the replay differs from what is read")
		}
	})
}

// FuzzDamage changes any part of a recording, inline or in a file. It checks that a
// replay reports the damage and writes nothing.
func FuzzDamage(f *testing.F) {
	frames, sum, _ := sample(f)
	f.Add(0, 0, []byte{1})
	f.Add(0, 0, []byte{})
	f.Add(headerSize, 3, []byte("two"))
	f.Add(20, 4, []byte{0, 0, 0, 0})
	f.Add(0, headerSize+4, []byte{})
	f.Add(headerSize+4, 0, slices.Clone(frames[:headerSize+4]))
	f.Add(len(frames), 0, slices.Clone(frames[:headerSize+4]))
	f.Add(len(frames)-headerSize, headerSize, []byte{})
	f.Add(len(frames), 0, appendFrame(nil, 1, 0, nil))
	f.Add(0, len(frames), appendFrame(nil, 1, 0, []byte("forged")))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, at, gone int, there []byte) {
		at = min(max(at, 0), len(frames))
		gone = min(max(gone, 0), len(frames)-at)
		damaged := slices.Concat(frames[:at], there, frames[at+gone:])
		if bytes.Equal(damaged, frames) {
			return
		}
		file, err := os.CreateTemp(dir, "spool")
		must(t, err)
		defer os.Remove(file.Name())
		_, err = file.Write(damaged)
		must(t, err)
		for where, r := range map[string]*Reader{
			"inline":                                 OpenInline(damaged, sum),
			"in a file":                              OpenFile(file, int64(len(frames)), sum),
			"in a file of the size that is recorded": OpenFile(file, int64(len(damaged)), sum),
		} {
			out, errs, err := replayed(t, r, dir)
			if !errors.Is(err, ledger.ErrCorrupt) || len(out)+len(errs) > 0 {
				t.Fatalf("%s: %d bytes instead of %d at %d: %d and %d bytes are replayed, error %v", where, len(there), gone, at, len(out), len(errs), err)
			}
		}
		file.Close()
	})
}

// FuzzFollow reads a recording that is still being written. It checks that every prefix
// gives the complete frames in it, and that the rest follows when it is written.
func FuzzFollow(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x01\x00\x00\x01\x05\x00"), uint(1), uint(30))
	f.Add([]byte("\x00\x03\x00\x01\x02\x00"), uint(headerSize), uint(headerSize+3))
	f.Add([]byte("\x02\x03\x30\x01\x02\x00"), uint(0), uint(70000))
	f.Fuzz(func(t *testing.T, program []byte, one, two uint) {
		var frames []byte
		var ends []int
		pieces := piecesOf(program)
		for _, p := range pieces {
			if len(p.bytes) > maxFrame {
				return
			}
			frames = appendFrame(frames, byte(p.stream), time.Second, p.bytes)
			ends = append(ends, len(frames))
		}
		src := &growing{}
		r := &Reader{src: src}
		var got flat
		for _, n := range []int{int(one % uint(len(frames)+1)), int(two % uint(len(frames)+1)), len(frames)} {
			src.b = frames[:max(n, len(src.b))]
			c, err := r.Next()
			for ; err == nil; c, err = r.Next() {
				got.add(c.Stream, c.Bytes)
			}
			complete := len(slices.DeleteFunc(slices.Clone(ends), func(end int) bool { return end > len(src.b) }))
			if want := flatten(pieces[:complete]); !errors.Is(err, io.EOF) || !got.equal(want) {
				t.Fatalf("of %d bytes of %d: got %d bytes of output, want %d, error %v", len(src.b), len(frames), len(got.bytes), len(want.bytes), err)
			}
		}
	})
}

// growing is a file that another process appends to.
type growing struct{ b []byte }

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.b).ReadAt(p, off)
}
