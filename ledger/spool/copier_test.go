package spool

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"idem/ledger"
)

// TestCopyIsEqual: a copy of a recording has the same frames, in memory and in a file.
func TestCopyIsEqual(t *testing.T) {
	for _, n := range []int{0, 1, InlineMax / 100, InlineMax} {
		path := filepath.Join(t.TempDir(), "copy")
		c := NewCopier(func() (*os.File, error) { return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) })
		var want []byte
		for i := range n {
			at := time.Duration(i) * time.Microsecond
			p := ledger.Chunk{Stream: ledger.Stdout + ledger.Stream(i%2), At: at, Bytes: []byte{byte(i)}}
			if i%10 == 9 {
				p = ledger.Chunk{Stream: ledger.Stream(i / 10 % 3), At: at, Dropped: int64(i)}
				var g ledger.Gaps
				g.Add(p.Stream, p.Dropped)
				want = appendGaps(want, at, g)
			} else {
				want = appendFrame(want, byte(p.Stream), at, p.Bytes)
			}
			if err := c.Add(p); err != nil {
				t.Fatal(err)
			}
		}
		sum, err := c.Close()
		if err != nil {
			t.Fatal(err)
		}
		got, r := sum.Inline, OpenInline(sum.Inline, sum.Sum)
		if sum.Inline == nil {
			if got, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			r = OpenFile(f, sum.Size, sum.Sum)
		}
		if !bytes.Equal(got, want) || (len(want) <= InlineMax) != (sum.Inline != nil) {
			t.Errorf("%d pieces: got %d bytes, want %d, in memory %t", n, len(got), len(want), sum.Inline != nil)
		}
		if _, err := r.Check(); err != nil {
			t.Errorf("%d pieces: %v", n, err)
		}
		_ = r.Close()
	}
}

func TestCopyRefusesImpossiblePieces(t *testing.T) {
	c := NewCopier(func() (*os.File, error) { return nil, io.ErrShortWrite })
	for _, p := range []ledger.Chunk{
		{Stream: 3, Bytes: []byte("x")}, {Stream: 0, Bytes: []byte("x")}, {Stream: 1, Dropped: -1}, {Stream: 1, Bytes: make([]byte, maxFrame+1)},
	} {
		if err := c.Add(p); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%d bytes of stream %d, %d dropped: got error %v", len(p.Bytes), p.Stream, p.Dropped, err)
		}
	}
	if err := c.Add(ledger.Chunk{Stream: 1, Bytes: make([]byte, InlineMax)}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("without a file: got error %v", err)
	}
}
