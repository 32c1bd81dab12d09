package spool

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"idem/ledger"
)

// fataler is *testing.T or *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// piece is one write of a command.
type piece struct {
	stream ledger.Stream
	bytes  []byte
}

// flat is an output as its bytes and the stream of each byte. It does not depend on how
// the output was cut into pieces.
type flat struct {
	bytes, streams []byte
}

func (f *flat) add(s ledger.Stream, p []byte) {
	f.bytes = append(f.bytes, p...)
	f.streams = append(f.streams, bytes.Repeat([]byte{byte(s)}, len(p))...)
}

func flatten(pieces []piece) flat {
	var f flat
	for _, p := range pieces {
		f.add(p.stream, p.bytes)
	}
	return f
}

func (f flat) equal(g flat) bool {
	return bytes.Equal(f.bytes, g.bytes) && bytes.Equal(f.streams, g.streams)
}

func (f flat) part(from, to int) flat { return flat{f.bytes[from:to], f.streams[from:to]} }

// of returns the bytes of one stream.
func (f flat) of(s ledger.Stream) []byte {
	out := []byte{}
	for i := 0; i < len(f.bytes); {
		n := len(f.streams) - i - len(bytes.TrimLeft(f.streams[i:], string(f.streams[i:i+1])))
		if f.streams[i] == byte(s) {
			out = append(out, f.bytes[i:i+n]...)
		}
		i += n
	}
	return out
}

// anyPieces draws writes of at least the given size. The sizes are around the limits of
// the package.
func anyPieces(least int) *rapid.Generator[[]piece] {
	return rapid.Custom(func(t *rapid.T) []piece {
		var seed [32]byte
		seed[0] = rapid.Byte().Draw(t, "seed")
		r := rand.NewChaCha8(seed)
		sizes := rapid.SliceOfN(rapid.OneOf(
			rapid.IntRange(least, 200),
			rapid.IntRange(least, InlineMax+100),
			rapid.IntRange(InlineMax-100, InlineMax+100),
			rapid.IntRange(tailMax/2, maxFrame+100),
		), 0, 6).Draw(t, "sizes")
		var pieces []piece
		for _, n := range sizes {
			p := piece{ledger.Stream(1 + r.Uint64()%2), make([]byte, n)}
			_, _ = r.Read(p.bytes)
			pieces = append(pieces, p)
		}
		return pieces
	})
}

func anyLimit() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.SampledFrom([]int64{-1, 0, 1, 2, InlineMax, 64 << 10, tailMax, 2 * tailMax, 3 * tailMax}),
		rapid.Int64Range(0, 200), rapid.Int64Range(0, 3*InlineMax), rapid.Int64Range(0, 4*tailMax),
	)
}

// anyStart draws the start of an attempt, relative to now. With an old start, the writer
// spills at once instead of after a second.
func anyStart() *rapid.Generator[time.Duration] {
	return rapid.SampledFrom([]time.Duration{0, -time.Hour})
}

// spoolDir is a directory of spools.
type spoolDir struct {
	dir string
	n   int
}

func newSpoolDir(t testing.TB) *spoolDir { return &spoolDir{dir: t.TempDir()} }

// next returns the path of a new file and a function that creates it.
func (p *spoolDir) next() (string, func() (*os.File, error)) {
	p.n++
	path := filepath.Join(p.dir, time.Now().Format("150405.000000000")+string(rune('a'+p.n%26)))
	return path, func() (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) }
}

// open returns a reader of a finished recording.
func open(t fataler, s Summary, path string) *Reader {
	t.Helper()
	if s.Inline != nil {
		return OpenInline(s.Inline, s.Sum)
	}
	f, err := os.Open(path)
	must(t, err)
	return OpenFile(f, s.Size, s.Sum)
}

// kept is the content of a recording: the output before the gap, the number of bytes in
// the gap, and the output after it.
type kept struct {
	head, tail flat
	gap        int64
	gaps       int
}

func readAll(t fataler, r *Reader) kept {
	t.Helper()
	var k kept
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return k
		}
		must(t, err)
		switch {
		case c.Dropped > 0:
			if k.gap += c.Dropped; k.gaps == 0 || len(k.tail.bytes) > 0 {
				k.gaps++ // the gaps of several streams at the same position count as one
			}
		case k.gaps == 0:
			k.head.add(c.Stream, c.Bytes)
		default:
			k.tail.add(c.Stream, c.Bytes)
		}
	}
}

// replayed returns the output that a replay writes to two files, and the replay's error.
func replayed(t fataler, r *Reader, dir string) (out, err []byte, replay error) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(dir, "replay")
		must(t, err)
		defer os.Remove(f.Name())
		defer f.Close()
		files[i] = f
	}
	replay = r.Replay(files[0], files[1])
	var got [2][]byte
	for i, f := range files {
		b, err := os.ReadFile(f.Name())
		must(t, err)
		got[i] = b
	}
	return got[0], got[1], replay
}
