package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"idem/ledger"
)

const (
	// maxTail is the number of lines of output that idem show prints at most. They are in memory.
	maxTail = 1000
	// maxTailLine is the number of bytes of a line that idem show prints at most.
	maxTailLine = 4096
)

// tail has the last lines of an output. A line of either stream counts when it ends.
type tail struct {
	max   int
	lines []string // escaped
	open  map[ledger.Stream][]byte
}

// tailOf returns the last lines, at most n, of the output that an attempt has now. They are
// escaped, and parts of the output that were not recorded have a line.
func tailOf(ctx context.Context, l ledger.Ledger, id ledger.ID, runID string, n int) ([]string, error) {
	out, err := l.Output(ctx, id, runID)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	t := tail{max: n, open: map[ledger.Stream][]byte{}}
	for {
		c, err := out.Next()
		switch {
		case errors.Is(err, io.EOF):
			t.end(ledger.Stdout, ledger.Stderr)
			t.trim()
			return t.lines, nil
		case err != nil:
			return nil, err
		case c.Dropped > 0:
			t.end(endedBy(c)...)
			t.add("[" + gapText(c) + "]")
		}
		for line := range bytes.Lines(c.Bytes) {
			begun := t.open[c.Stream]
			text, ends := bytes.CutSuffix(line, []byte("\n"))
			t.open[c.Stream] = append(begun, text[:min(len(text), max(0, maxTailLine+1-len(begun)))]...)
			if ends {
				t.line(c.Stream)
			}
		}
	}
}

// end ends a line of each stream that has no newline.
func (t *tail) end(streams ...ledger.Stream) {
	for _, s := range streams {
		if len(t.open[s]) > 0 {
			t.line(s)
		}
	}
}

func (t *tail) line(s ledger.Stream) {
	b, more := t.open[s], ""
	if len(b) > maxTailLine {
		b, more = b[:maxTailLine], ellipsis
	}
	t.add(escapeBut(string(b), "\t\\") + more)
	t.open[s] = t.open[s][:0]
}

func (t *tail) add(line string) {
	if t.lines = append(t.lines, line); len(t.lines) >= 2*t.max {
		t.trim()
	}
}

// trim forgets all lines but the last ones.
func (t *tail) trim() { t.lines = slices.Delete(t.lines, 0, max(0, len(t.lines)-t.max)) }

// gapText says how many bytes of an output are missing where a chunk says so.
func gapText(c ledger.Chunk) string {
	stream := map[ledger.Stream]string{ledger.Stdout: " (stdout)", ledger.Stderr: " (stderr)"}
	return fmt.Sprintf("%d bytes were not recorded here%s", c.Dropped, stream[c.Stream])
}
