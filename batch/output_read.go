package batch

import (
	"context"
	"errors"
	"io"
	"time"

	"idem/ledger"
)

// recorded is a recorded output that is read piece by piece.
type recorded struct {
	run string
	out ledger.Output
	at  [2]int64 // by stream: the bytes before the next piece
	// rest is the part of the last piece that was not taken. It belongs to stream.
	rest   []byte
	stream ledger.Stream
}

func (r *recorded) close() {
	if r.out != nil {
		_ = r.out.Close()
	}
	*r = recorded{}
}

const (
	// pollEvery is how often the output of a running attempt is read again.
	pollEvery = 20 * time.Millisecond
	// reopenAfter is the number of polls without output after which the recording is
	// opened again, because the attempt may have ended.
	reopenAfter = 25
)

// gap writes the output of a gap.
func (w *writer) gap(it *Item, g *gap) {
	w.flush() // reading may take time
	want := [2]int64{g.from[0] + g.bytes[0], g.from[1] + g.bytes[1]}
	have := g.from
	r := &w.recorded
	polls, last := 0, false
	for {
		dead := w.dead()
		for i := range have {
			if dead[i] {
				have[i] = want[i]
			}
		}
		if have == want {
			return
		}
		stdout := have[0] != want[0] // is not complete yet
		if r.out == nil || r.run != g.run {
			r.close()
			out, err := w.p.o.Ledger.Output(context.Background(), it.id, g.run)
			if err == nil {
				if _, err = out.Check(); err != nil {
					_ = out.Close()
				}
			}
			if err != nil {
				w.lack(it, stdout, err)
				return
			}
			r.run, r.out = g.run, out
		}
		c, err := r.next()
		switch {
		case err == nil:
			polls = 0
			if !w.part(it, r, c, &have, want, dead) {
				w.lack(it, stdout, nil)
				return
			}
		case !errors.Is(err, io.EOF), last:
			if errors.Is(err, io.EOF) {
				err = nil
			}
			w.lack(it, stdout, err)
			return
		case w.over(it, g.run):
			last = true // now that all is recorded
			r.close()
		case polls >= reopenAfter:
			polls = 0
			r.close()
		default:
			polls++
			w.flush()
			time.Sleep(pollEvery)
		}
	}
}

// over reports whether an attempt of it has ended.
func (w *writer) over(it *Item, run string) bool {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return !it.running || it.run != run
}

func (r *recorded) next() (ledger.Chunk, error) {
	if len(r.rest) > 0 {
		c := ledger.Chunk{Stream: r.stream, Bytes: r.rest}
		r.rest = nil
		return c, nil
	}
	return r.out.Next()
}

// part writes the bytes of c that belong to the gap from have to want, and advances have.
// It reports whether the gap may go on after c.
func (w *writer) part(it *Item, r *recorded, c ledger.Chunk, have *[2]int64, want [2]int64, dead [2]bool) bool {
	if c.Stream != ledger.Stdout && c.Stream != ledger.Stderr {
		return false
	}
	i := index(c.Stream)
	b := c.Bytes
	if dead[i] {
		r.at[i] += int64(len(b)) + c.Dropped
		return true
	}
	before := min(int64(len(b)), max(0, have[i]-r.at[i])) // written earlier
	b = b[before:]
	r.at[i] += before + c.Dropped
	if r.at[i] > have[i] {
		w.lack(it, i == 0, nil)
		have[i] = min(r.at[i], want[i])
	}
	if len(b) == 0 {
		return true
	}
	n := min(int64(len(b)), want[i]-have[i])
	w.add(c.Stream, b[:n])
	r.at[i] += n
	have[i] += n
	r.rest, r.stream = b[n:], c.Stream
	return n > 0 || *have == want
}

// record writes the recorded output of an item that did not run.
func (w *writer) record(it *Item) {
	ctx := context.Background()
	l := w.p.o.Ledger
	rec, err := l.Get(ctx, it.id)
	if err != nil {
		w.lack(it, true, err)
		return
	}
	cur := rec.Current
	switch {
	case cur.State == ledger.Succeeded && w.p.o.FailedOnly:
		return
	case cur.State != ledger.Succeeded && cur.State != ledger.Failed:
		w.lack(it, true, nil)
		return
	}
	out, err := l.Output(ctx, it.id, cur.RunID)
	if err != nil {
		w.lack(it, true, err)
		return
	}
	defer out.Close()
	gaps, err := out.Check()
	if err != nil {
		w.lack(it, true, err)
		return
	}
	switch {
	case cur.NoOutput:
		if cur.OutputBytes > 0 {
			w.lack(it, false, nil)
		}
	case gaps.Total() > 0 || cur.Truncated:
		w.lack(it, gaps.Total() != gaps.Stderr || gaps.Total() == 0, nil)
	}
	for {
		c, err := out.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				w.lack(it, true, err)
			}
			return
		}
		if len(c.Bytes) > 0 {
			w.add(c.Stream, c.Bytes)
		}
	}
}

// lack is Printer.lack.
func (w *writer) lack(it *Item, stdout bool, why error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.p.lack(it, stdout, why)
}

// dead returns the streams to which nothing more can be written.
func (w *writer) dead() [2]bool {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.dead
}
