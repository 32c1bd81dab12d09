package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger"
)

// sample returns a small finished recording as it is stored in a file. It has two
// streams, a gap in the middle, and a piece that is large enough for sendFile.
func sample(t testing.TB) (frames []byte, sum uint32, whole kept) {
	w := NewWriter(24<<10, time.Now(), nil)
	for i, p := range []string{"out\n", "err\n", "", "more out\n"} {
		w.Write(ledger.Stream(1+i%2), []byte(p))
	}
	w.Write(ledger.Stderr, bytes.Repeat([]byte("large"), 3<<10))
	w.Write(ledger.Stdout, bytes.Repeat([]byte("dropped, but for its end "), 1<<10))
	s, err := w.Close(false)
	if err != nil || s.Inline == nil || !s.Truncated {
		t.Fatalf("got %+v, error %v; want a truncated output in memory", s, err)
	}
	return s.Inline, s.Sum, readAll(t, OpenInline(s.Inline, s.Sum))
}

// inFile returns a reader of frames in a file.
func inFile(t testing.TB, dir string, frames []byte, size int64, sum uint32) *Reader {
	t.Helper()
	f, err := os.CreateTemp(dir, "spool")
	must(t, err)
	t.Cleanup(func() { f.Close(); os.Remove(f.Name()) })
	_, err = f.Write(frames)
	must(t, err)
	return OpenFile(f, size, sum)
}

// refuses checks that a replay of a damaged recording says so and writes nothing.
func refuses(t *testing.T, r *Reader, dir, what string) {
	t.Helper()
	out, errs, err := replayed(t, r, dir)
	if !errors.Is(err, ledger.ErrCorrupt) || len(out)+len(errs) > 0 {
		t.Fatalf("%s: got error %v, after %d bytes", what, err, len(out)+len(errs))
	}
}

// TestEveryFlippedBitIsFound flips bits of an inline recording and of one in a file.
func TestEveryFlippedBitIsFound(t *testing.T) {
	testkit.Slow(t, "every bit of a recording is flipped once")
	frames, sum, _ := sample(t)
	dir := t.TempDir()
	for i := range frames {
		if i > 2000 && i%97 != 0 { // a sample is enough inside the large pieces
			continue
		}
		for bit := range 8 {
			damaged := slices.Clone(frames)
			damaged[i] ^= 1 << bit
			r := OpenInline(damaged, sum)
			if err := r.Replay(nil, nil); !errors.Is(err, ledger.ErrCorrupt) {
				t.Fatalf("byte %d, bit %d: got error %v", i, bit, err)
			}
			if i < 400 && bit == i%8 {
				refuses(t, OpenInline(damaged, sum), dir, fmt.Sprintf("byte %d, bit %d, inline", i, bit))
				refuses(t, inFile(t, dir, damaged, int64(len(frames)), sum), dir, fmt.Sprintf("byte %d, bit %d, file", i, bit))
			}
		}
	}
}

// TestDamageInAnyLargeFrameIsFound damages each of several large frames, which are checked
// at the same time.
func TestDamageInAnyLargeFrameIsFound(t *testing.T) {
	const frames, length = 20, 3 * largeFrame
	var whole []byte
	var sum uint32
	for i := range frames {
		at := len(whole)
		whole = appendFrame(whole, byte(ledger.Stdout+ledger.Stream(i%2)), time.Duration(i), bytes.Repeat([]byte{byte('a' + i)}, length))
		sum = crc32.Update(sum, crc32.IEEETable, whole[at:at+summed])
	}
	dir := t.TempDir()
	out, errs, err := replayed(t, inFile(t, dir, whole, int64(len(whole)), sum), dir)
	if err != nil || len(out)+len(errs) != frames*length {
		t.Fatalf("undamaged: got error %v, after %d bytes", err, len(out)+len(errs))
	}
	for i := range frames {
		damaged := slices.Clone(whole)
		damaged[i*(headerSize+length)+headerSize+length/2] ^= 1
		refuses(t, inFile(t, dir, damaged, int64(len(whole)), sum), dir, fmt.Sprintf("frame %d", i))
	}
}

func TestShorterLongerOrOtherRecordingIsFound(t *testing.T) {
	frames, sum, _ := sample(t)
	dir := t.TempDir()
	size := int64(len(frames))
	for n := 0; n < len(frames); n += 1 + n/50 {
		refuses(t, inFile(t, dir, frames[:n], size, sum), dir, fmt.Sprintf("the first %d bytes", n))
		refuses(t, OpenInline(frames[:n], sum), dir, fmt.Sprintf("the first %d bytes, inline", n))
	}
	longer := appendFrame(slices.Clone(frames), 1, 0, []byte("more"))
	refuses(t, inFile(t, dir, longer, size, sum), dir, "a frame more")
	refuses(t, inFile(t, dir, longer, int64(len(longer)), sum), dir, "a frame more, and its size")
	refuses(t, OpenInline(longer, sum), dir, "a frame more, inline")

	a, b := appendFrame(nil, 1, 0, []byte("one")), appendFrame(nil, 1, 0, []byte("two"))
	ab, ba := slices.Concat(a, b), slices.Concat(b, a)
	refuses(t, OpenInline(ba, sumHeaders(0, ab)), dir, "frames in another order")
	refuses(t, inFile(t, dir, b, int64(len(b)), sumHeaders(0, a)), dir, "another recording of the same size")
	must(t, OpenInline(ab, sumHeaders(0, ab)).Replay(nil, nil))
}

// TestTornEndOfAnUnfinishedRecordingIsItsEnd cuts off the last frame, as a kill may do.
// The frames before it are read, and then the reader returns io.EOF.
func TestTornEndOfAnUnfinishedRecordingIsItsEnd(t *testing.T) {
	frames, _, whole := sample(t)
	dir := t.TempDir()
	all := flat{append(slices.Clone(whole.head.bytes), whole.tail.bytes...), append(slices.Clone(whole.head.streams), whole.tail.streams...)}
	var ends []int // the offset of the end of each frame
	for at := 0; at < len(frames); {
		h, err := parseHeader(frames[at:])
		must(t, err)
		at += headerSize + h.length
		ends = append(ends, at)
	}
	for n := 0; n <= len(frames); n += 1 + n/30 {
		last := 0
		for _, end := range ends {
			if end <= n {
				last = end
			}
		}
		want := 0
		for r := OpenInline(frames[:last], 0); ; {
			c, err := r.Next()
			if err != nil {
				break
			}
			want += len(c.Bytes)
		}
		follow := func() *Reader {
			r := inFile(t, dir, frames[:n], 0, 0)
			return Follow(func() (*os.File, error) { return r.file, nil })
		}
		got := readAll(t, follow())
		if len(got.head.bytes)+len(got.tail.bytes) != want {
			t.Fatalf("cut at %d: read %d and %d bytes, want %d", n, len(got.head.bytes), len(got.tail.bytes), want)
		}
		out, errs, err := replayed(t, follow(), dir)
		if err != nil || !bytes.Equal(out, all.part(0, want).of(1)) || !bytes.Equal(errs, all.part(0, want).of(2)) {
			t.Fatalf("cut at %d: the replay gave %d and %d bytes, want %d together; error %v", n, len(out), len(errs), want, err)
		}
	}
}

func TestDamageInAnUnfinishedRecordingIsNotItsEnd(t *testing.T) {
	for _, size := range []int{10, largeFrame} {
		frames := appendFrame(nil, 1, 0, make([]byte, size))
		frames[headerSize+5] ^= 1
		r := inFile(t, t.TempDir(), frames, 0, 0)
		out, _, err := replayed(t, Follow(func() (*os.File, error) { return r.file, nil }), t.TempDir())
		if !errors.Is(err, ledger.ErrCorrupt) || len(out) > 0 {
			t.Errorf("%d bytes: got %d bytes, error %v", size, len(out), err)
		}
	}
}

// TestFollowOfAMissingFile checks that a missing file has no output yet, and that its
// output is read once it exists.
func TestFollowOfAMissingFile(t *testing.T) {
	path := t.TempDir() + "/spool"
	r := Follow(func() (*os.File, error) { return os.Open(path) })
	defer r.Close()
	for range 2 {
		if c, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("got %v, %v", c, err)
		}
	}
	must(t, r.Replay(nil, nil))
	must(t, os.WriteFile(path, appendFrame(nil, 2, time.Second, []byte("err")), 0o600))
	if c, err := r.Next(); err != nil || c.Stream != ledger.Stderr || string(c.Bytes) != "err" || c.At != time.Second {
		t.Errorf("got %v, %v", c, err)
	}
	must(t, Follow(func() (*os.File, error) { return nil, os.ErrNotExist }).Close())
}

// repair sets the checksums of the frames in b, so that a fuzzer tests the code behind
// the checks.
func repair(b []byte) (repaired []byte, sum uint32) {
	b = slices.Clone(b)
	for at := 0; at+headerSize <= len(b); {
		h := b[at : at+headerSize]
		h[0], h[2] = h[0]%gapStream+1, h[2]%(castagnoli+1)
		n := int(binary.LittleEndian.Uint32(h[4:]) % (2 * maxFrame))
		if rest := b[at+headerSize:]; n <= len(rest) {
			binary.LittleEndian.PutUint32(h[16:], sumOf(rest[:n], h[2]))
		}
		binary.LittleEndian.PutUint32(h[4:], uint32(n))
		binary.LittleEndian.PutUint32(h[20:], crc32.ChecksumIEEE(h[:20]))
		sum = crc32.Update(sum, crc32.IEEETable, h[:summed])
		at += headerSize + n
	}
	return b, sum
}

// FuzzReader reads any bytes. It checks that a reader ends without a panic, returns no
// more bytes than it was given, and allocates no more than one frame may need.
func FuzzReader(f *testing.F) {
	frames, sum, _ := sample(f)
	for _, b := range [][]byte{
		nil, frames, frames[:len(frames)-1], frames[:headerSize], appendAny(nil, gapStream, 0, 0, bytes.Repeat([]byte{0xff}, 8)), appendFrame(nil, 1, 1<<62, nil),
		appendFrame(nil, 2, 0, make([]byte, maxFrame)), bytes.Repeat([]byte{0xff}, 3*headerSize),
	} {
		f.Add(b, sum, false)
		f.Add(b, uint32(0), true)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	must(f, err)
	f.Fuzz(func(t *testing.T, b []byte, sum uint32, repaired bool) {
		if repaired {
			b, sum = repair(b)
		}
		for _, r := range []*Reader{OpenInline(b, sum), {src: bytes.NewReader(b)}} {
			total := 0
			for {
				c, err := r.Next()
				if err != nil {
					break
				}
				total += headerSize + len(c.Bytes)
				if c.Stream > ledger.Stderr || c.Stream == 0 && len(c.Bytes) > 0 || len(c.Bytes) > maxFrame || total > len(b) {
					t.Fatalf("got a piece of %d bytes of stream %d", len(c.Bytes), c.Stream)
				}
			}
			if cap(r.buf) > maxFrame {
				t.Fatalf("%d bytes were allocated for a frame", cap(r.buf))
			}
			r.offset = 0
			if err := r.Replay(null, null); r.done && err != nil && !errors.Is(err, ledger.ErrCorrupt) {
				t.Fatalf("got error %v", err)
			}
		}
	})
}

// TestFollowForgetsWhatIsCutOff cuts off a torn frame and writes another one instead, as
// a writer does when a frame does not fit. A reader that has buffered the beginning of
// the torn frame must discard it.
func TestFollowForgetsWhatIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	a, torn, b := appendFrame(nil, 1, 0, []byte("a")), appendFrame(nil, 1, 0, bytes.Repeat([]byte("torn"), 100)), appendFrame(nil, 2, 0, []byte("b"))
	must(t, os.WriteFile(path, append(slices.Clone(a), torn[:100]...), 0o600))
	r := Follow(func() (*os.File, error) { return os.Open(path) })
	defer r.Close()
	for i, want := range []string{"a", "b"} {
		c, err := r.Next()
		must(t, err)
		if string(c.Bytes) != want {
			t.Errorf("piece %d: got %q, want %q", i, c.Bytes, want)
		}
		must(t, os.WriteFile(path, append(slices.Clone(a), b...), 0o600))
	}
}
