package ledgertest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"

	"idem/ledger"
)

// pieces returns total bytes of binary output in pieces of different sizes, on both streams
// in turn. The same total gives the same bytes.
func pieces(total int) []ledger.Chunk {
	var out []ledger.Chunk
	source := rand.NewChaCha8([32]byte{})
	sizes := rand.New(source)
	for total > 0 {
		p := make([]byte, min(total, 1+sizes.IntN(64<<10)))
		_, _ = source.Read(p)
		out = append(out, ledger.Chunk{Stream: ledger.Stdout + ledger.Stream(len(out)%2), Bytes: p})
		total -= len(p)
	}
	return out
}

// write passes each piece to x in a buffer that it reuses, as a copying loop does.
func write(x ledger.Execution, ps []ledger.Chunk) {
	var buf []byte
	for _, p := range ps {
		buf = append(buf[:0], p.Bytes...)
		x.Write(p.Stream, buf)
		for i := range buf {
			buf[i] = '!'
		}
	}
}

// flat is an output with the stream of each byte. It does not depend on how a ledger cuts
// the output into pieces.
type flat struct {
	bytes, streams []byte
}

func flatten(ps []ledger.Chunk) flat {
	var f flat
	for _, p := range ps {
		f.bytes = append(f.bytes, p.Bytes...)
		f.streams = append(f.streams, bytes.Repeat([]byte{byte(p.Stream)}, len(p.Bytes))...)
	}
	return f
}

func (f flat) only(s ledger.Stream) []byte {
	var out []byte
	for i, b := range f.bytes {
		if f.streams[i] == byte(s) {
			out = append(out, b)
		}
	}
	return out
}

// has reports whether all of g is in f at offset.
func (f flat) has(g flat, offset int) bool {
	end := offset + len(g.bytes)
	return offset >= 0 && end <= len(f.bytes) &&
		bytes.Equal(f.bytes[offset:end], g.bytes) && bytes.Equal(f.streams[offset:end], g.streams)
}

// next reads pieces until there is none, and checks each one.
func (k *kit) next(out ledger.Output) []ledger.Chunk {
	k.Helper()
	var ps []ledger.Chunk
	for {
		c, err := out.Next()
		if errors.Is(err, io.EOF) {
			return ps
		}
		k.ok(err, "Next")
		switch {
		case c.Dropped < 0, (c.Dropped > 0) == (len(c.Bytes) > 0):
			k.Fatalf("a chunk with %d bytes and %d dropped", len(c.Bytes), c.Dropped)
		case c.Dropped == 0 && c.Stream != ledger.Stdout && c.Stream != ledger.Stderr:
			k.Fatalf("a chunk of stream %d", c.Stream)
		case c.At < 0:
			k.Fatalf("a chunk from %v before the start", -c.At)
		}
		c.Bytes = slices.Clone(c.Bytes) // valid only until the next call
		ps = append(ps, c)
	}
}

func (k *kit) openOutput(l ledger.Ledger, id ledger.ID, runID string) ledger.Output {
	k.Helper()
	out, err := l.Output(k.ctx, id, runID)
	k.ok(err, "Output")
	return out
}

// output returns the whole recorded output of an attempt.
func (k *kit) output(l ledger.Ledger, id ledger.ID, runID string) []ledger.Chunk {
	k.Helper()
	out := k.openOutput(l, id, runID)
	ps := k.next(out)
	k.ok(out.Close(), "Close of an output")
	return ps
}

// exactly checks that an attempt's output is recorded completely and in order.
func (k *kit) exactly(id ledger.ID, a ledger.Attempt, want []ledger.Chunk) {
	k.Helper()
	w := flatten(want)
	if a.OutputBytes != int64(len(w.bytes)) || a.Truncated {
		k.Errorf("wrote %d bytes, recorded are OutputBytes %d, Truncated %t", len(w.bytes), a.OutputBytes, a.Truncated)
	}
	for _, l := range []ledger.Ledger{k.a, k.b} {
		g := flatten(k.output(l, id, a.RunID))
		if len(g.bytes) != len(w.bytes) || !w.has(g, 0) {
			k.Errorf("wrote %d bytes, read %d others", len(w.bytes), len(g.bytes))
		}
	}
}

// record executes id with the given output and keep as the limit of the recording.
func (k *kit) record(id ledger.ID, ps []ledger.Chunk, keep int64) ledger.Attempt {
	k.Helper()
	c := k.claim(k.a, id)
	s := newStart()
	s.MaxOutput = keep
	x := k.beginWith(c, s)
	write(x, ps)
	a := k.finish(x, success)
	k.release(c)
	return a
}
