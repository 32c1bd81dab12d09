package cmd

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

// part returns the bytes of a text of an excerpt.
func (v excerptView) part(t *testing.T, text string) []byte {
	t.Helper()
	if v.Encoding == "utf-8" {
		return []byte(text)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || v.Encoding != "base64" {
		t.Fatalf("got encoding %s, %v; want utf-8 or valid base64", v.Encoding, err)
	}
	return b
}

// checkExcerpt adds an output in pieces and checks that the excerpt says which bytes
// of it are where, in JSON.
func checkExcerpt(t *testing.T, output []byte, piece int) excerptView {
	t.Helper()
	var e excerpt
	for rest := output; len(rest) > 0; {
		n := min(piece, len(rest))
		e.add(rest[:n])
		rest = rest[n:]
	}
	if len(e.head) > excerptHead || len(e.tail) > 2*excerptTail {
		t.Fatalf("got %d and %d bytes in memory", len(e.head), len(e.tail))
	}
	b, err := marshalLine(e.view())
	if err != nil {
		t.Fatal(err)
	}
	var v excerptView
	if err := json.Unmarshal(b, &v); err != nil || bytes.Count(b, []byte("\n")) != 1 {
		t.Fatalf("got %q, %v; want JSON on one line", b, err)
	}
	text, tail := v.part(t, v.Text), v.part(t, v.Tail)
	if !bytes.HasPrefix(output, text) || !bytes.HasSuffix(output, tail) || v.Bytes != int64(len(output)) || v.Omitted != v.Bytes-int64(len(text)+len(tail)) {
		t.Fatalf("%d bytes in pieces of %d: got text of %d, tail of %d, bytes %d, omitted %d", len(output), piece, len(text), len(tail), v.Bytes, v.Omitted)
	}
	whole := len(output) <= excerptHead+excerptTail
	if whole != (v.Omitted == 0) || whole && len(tail) > 0 || !whole && (len(text) < excerptHead-utf8.UTFMax || len(tail) < excerptTail-utf8.UTFMax) {
		t.Fatalf("%d bytes: got text of %d, tail of %d, omitted %d", len(output), len(text), len(tail), v.Omitted)
	}
	if utf8.Valid(output) && v.Encoding != "utf-8" || whole && !utf8.Valid(output) && v.Encoding != "base64" {
		t.Fatalf("got encoding %s for an output that is UTF-8: %t", v.Encoding, utf8.Valid(output))
	}
	return v
}

func TestExcerpt(t *testing.T) {
	const all = excerptHead + excerptTail
	for _, unit := range []string{"a", "é", "€", "𝄞", "\xff", "a\x80", "\x00", "\u202e"} {
		for _, size := range []int{0, 1, 7, excerptHead - 1, excerptHead, excerptHead + 1, all - 1, all, all + 1, all + 2, all + 3, all + 4, 2 * all, 5*all + 1} {
			// The offsets cut a character in each of its bytes.
			for offset := range min(4, size) {
				output := []byte(strings.Repeat("x", offset) + strings.Repeat(unit, size/len(unit)))
				for _, piece := range []int{1 << 15, 4096 + 7, excerptTail, 3 * all} {
					checkExcerpt(t, output, piece)
				}
			}
		}
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("é"), 40000, 5)
	f.Add([]byte("a\xe2\x82"), 30000, 70000)
	f.Fuzz(func(t *testing.T, unit []byte, times, piece int) {
		if times < 0 || piece < 1 || len(unit)*times > 1<<20 || piece < 100 && len(unit)*times > 1<<16 {
			return
		}
		checkExcerpt(t, bytes.Repeat(unit, times), piece)
	})
}

// The memory for an output does not grow with it.
func TestExcerptIsBounded(t *testing.T) {
	var e excerpt
	buf := make([]byte, 32<<10)
	for range 1 << 30 / len(buf) {
		e.add(buf)
	}
	if cap(e.head)+cap(e.tail) > 4*(excerptHead+excerptTail) || e.size != 1<<30 {
		t.Errorf("got %d and %d bytes of memory for %d bytes of output", cap(e.head), cap(e.tail), e.size)
	}
}

// The excerpt has all that was written before the end, also what was not read yet, and
// nothing hangs on the write end, which stays open.
func TestExcerptPipe(t *testing.T) {
	for _, size := range []int{0, 1, 60 << 10, 1 << 20} {
		p, err := newExcerptPipe()
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		if _, err := io.Copy(p.write, bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		if got := p.end(); got.size != int64(len(want)) || !bytes.HasPrefix(want, got.head) || !bytes.HasSuffix(want, got.tail) {
			t.Errorf("%d bytes: got %d", len(want), got.size)
		}
		p.read.Close()
		p.write.Close()
	}
}
