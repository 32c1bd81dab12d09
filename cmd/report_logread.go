package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"idem/ledger"
	"idem/runner"
)

// logReader reads the recorded output of an attempt.
type logReader struct {
	ledger ledger.Ledger
	id     ledger.ID
	runID  string
	only   ledger.Stream // 0: both
	last   int           // the number of lines to read, of both streams together; negative: all
	follow bool          // until the attempt ends

	attempt ledger.Attempt // as it was before the latest look at the output
	running bool           // at that time
	found   bool           // there is output, selected or not
	skip    int            // lines that are not read
}

// followInterval is the time between two reads of the output of a followed attempt.
const followInterval = 100 * time.Millisecond

// chunks yields the chunks that are selected, until an error. Their bytes are valid until the
// next one.
func (r *logReader) chunks(ctx context.Context) iter.Seq2[ledger.Chunk, error] {
	return func(yield func(ledger.Chunk, error) bool) {
		goOn := true
		err := r.read(ctx, func(c ledger.Chunk) bool {
			goOn = yield(c, nil)
			return goOn
		})
		if err != nil && goOn {
			yield(ledger.Chunk{}, err)
		}
	}
}

// read calls take for each chunk until it returns false.
func (r *logReader) read(ctx context.Context, take func(ledger.Chunk) bool) error {
	if r.last >= 0 {
		all, err := r.lines(ctx)
		if err != nil {
			return err
		}
		r.skip = max(0, all-r.last)
	}
	out, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer out.Close()
	for {
		// Read the state before the output: if the attempt has ended, its whole output
		// is there to read.
		if r.attempt, r.running, err = runner.AttemptNow(ctx, r.ledger, r.id, r.runID); err != nil {
			return err
		}
		switch goOn, err := r.all(out, take); {
		case err != nil || !goOn:
			return err
		case !r.running && !r.found: // it ended before the first chunk was read
			end, err := r.open(ctx)
			if err != nil {
				return err
			}
			defer end.Close()
			_, err = r.all(end, take)
			return err
		case !r.running || !r.follow:
			return nil
		}
		time.Sleep(followInterval)
	}
}

func (r *logReader) open(ctx context.Context) (ledger.Output, error) {
	return r.ledger.Output(ctx, r.id, r.runID)
}

// all calls take for the chunks that out has now. It reports whether there may be more.
func (r *logReader) all(out ledger.Output, take func(ledger.Chunk) bool) (bool, error) {
	for {
		c, err := out.Next()
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		r.found = true
		switch {
		case !r.selects(c):
			continue
		case c.Dropped > 0 && r.skip > 0:
			continue
		case c.Dropped == 0:
			if c.Bytes = r.behind(c.Bytes); len(c.Bytes) == 0 {
				continue
			}
		}
		if !take(c) {
			return false, nil
		}
	}
}

// lines counts the lines of the output that the attempt has now.
func (r *logReader) lines(ctx context.Context) (int, error) {
	out, err := r.open(ctx)
	if err != nil {
		return 0, err
	}
	defer out.Close()
	n, open := 0, false
	for {
		c, err := out.Next()
		switch {
		case errors.Is(err, io.EOF) && open:
			return n + 1, nil
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return 0, err
		}
		if r.selects(c) && len(c.Bytes) > 0 {
			n += bytes.Count(c.Bytes, []byte("\n"))
			open = c.Bytes[len(c.Bytes)-1] != '\n'
		}
	}
}

func (r *logReader) selects(c ledger.Chunk) bool {
	return r.only == 0 || c.Stream == 0 || r.only == c.Stream
}

// behind returns what remains of a piece of output after the lines to skip.
func (r *logReader) behind(b []byte) []byte {
	for r.skip > 0 {
		_, rest, whole := bytes.Cut(b, []byte("\n"))
		if b = rest; !whole {
			return nil
		}
		r.skip--
	}
	return b
}
