package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/runner"
)

const logsLong = `Print the recorded output of a key's last attempt: stdout to stdout, and stderr
to stderr.

In a pipe, the bytes are exact. On a terminal, control characters other than
newline and tab are escaped; --raw prints them unchanged.`

type logsOptions struct {
	attempt        int
	stdout, stderr bool
	follow, raw    bool
}

func (a *app) logsCommand() *cobra.Command {
	o := &logsOptions{}
	var record *recordFlags
	c := &cobra.Command{
		Use:     "logs KEY",
		Short:   "Print a key's recorded output",
		Long:    logsLong + recordLong + guessLong,
		Example: "  idem logs -f --per day backup\n  idem logs --attempt 1 --stderr deploy:prod:8471",
		Args:    oneArg("key"),
		RunE:    func(c *cobra.Command, args []string) error { return a.logs(c.Context(), args[0], record, o) },
	}
	record = newRecordFlags(c, nil, true)
	f := c.Flags()
	f.IntVar(&o.attempt, "attempt", 0, "print the output of attempt `N` (default: the last)")

	f.BoolVar(&o.stdout, "stdout", false, "print only the standard output")
	f.BoolVar(&o.stderr, "stderr", false, "print only the standard error")
	f.BoolVarP(&o.follow, "follow", "f", false, "follow a running attempt until it ends")
	f.BoolVar(&o.raw, "raw", false, "print the exact bytes on a terminal too")
	return c
}

func (a *app) logs(ctx context.Context, key string, record *recordFlags, o *logsOptions) error {
	if o.attempt < 0 {
		return usage("--attempt requires a number of at least 1")
	}
	if err := o.checkPairs(); err != nil {
		return err
	}
	l, rec, err := a.lookUp(ctx, key, record)
	if err != nil {
		return err
	}
	at, err := attemptOf(ctx, l, rec, o.attempt)
	if err != nil {
		return err
	}
	p := printer{raw: o.raw, only: o.only(), ui: &a.ui, partial: map[ledger.Stream][]byte{}}
	out, err := l.Output(ctx, rec.ID, at.RunID)
	if err != nil {
		return err
	}
	for {
		// Read the state before the output: if the attempt has ended, its whole output
		// is there to read.
		now, running, err := runner.AttemptNow(ctx, l, rec.ID, at.RunID)
		if err != nil {
			return err
		}
		if err := p.all(out); err != nil || !o.follow || !running {
			if err == nil && !running && p.chunks == 0 {
				err = p.rest(ctx, l, rec.ID, at.RunID)
			}
			out.Close()
			if err == nil {
				a.reportRecorded(at.Number, now, running)
				if p.chunks == 0 && !running && !now.NoOutput {
					a.ui.note("no output of attempt %d was recorded", at.Number)
				}
			}
			return err
		}
		time.Sleep(followInterval)
	}
}

// reportRecorded prints a warning for each fault of the recorded output of an attempt.
// If idem did not record its end, the number of bytes is not known.
func (a *app) reportRecorded(number int, at ledger.Attempt, running bool) {
	switch {
	case at.NoOutput:
		a.ui.warn("the output of attempt %d was not stored (--no-store or --max-output 0)", number)
	case at.Reason == ledger.ReasonLost, at.State == ledger.Running && !running:
		a.ui.warn("the recorded output may lack its end")
		a.ui.warnDetail("idem was killed, or could not record the outcome")
	case at.Truncated:
		a.ui.warn("the recorded output is not complete: the command wrote %d bytes", at.OutputBytes)
	}
	if at.Incomplete {
		a.ui.warn("the recorded output may lack its last lines")
		a.ui.warnDetail(leftBehind)
	}
}

// followInterval is the time between two reads of the output of a followed attempt.
const followInterval = 100 * time.Millisecond

func (o *logsOptions) only() ledger.Stream {
	switch {
	case o.stdout == o.stderr:
		return 0
	case o.stdout:
		return ledger.Stdout
	}
	return ledger.Stderr
}

// attemptOf returns the attempt with a number. For 0, it returns the last attempt that
// ran or that was settled with an output.
func attemptOf(ctx context.Context, l ledger.Ledger, rec ledger.Record, number int) (ledger.Attempt, error) {
	at, found, err := runner.AttemptNumbered(ctx, l, rec.ID, number)
	switch {
	case err != nil || found:
		return at, err
	case rec.Current.State == ledger.Batch:
		return at, usage("key %s is a batch of idem each", keyShown(rec)).detail("its items have the outputs: name one as KEY/ITEM")
	case number == 0:
		return at, fail(exitError, "key %s was never run", keyShown(rec))
	}
	return at, fail(exitError, "key %s has no attempt %d, its last is %d", keyShown(rec), number, rec.Attempts)
}

// printer writes chunks to idem's stdout and stderr.
type printer struct {
	raw     bool
	only    ledger.Stream // 0: both
	ui      *ui
	chunks  int
	partial map[ledger.Stream][]byte // by stream, the first bytes of a character whose rest is in the next chunk
}

// all prints the chunks that out has now.
func (p *printer) all(out ledger.Output) error {
	for {
		c, err := out.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.chunks++
		if err := p.chunk(c); err != nil {
			return err
		}
	}
}

// rest prints the output of an attempt that ended before the first chunk was read.
func (p *printer) rest(ctx context.Context, l ledger.Ledger, id ledger.ID, runID string) error {
	out, err := l.Output(ctx, id, runID)
	if err != nil {
		return err
	}
	defer out.Close()
	return p.all(out)
}

func (p *printer) chunk(c ledger.Chunk) error {
	if p.only != 0 && c.Stream != 0 && p.only != c.Stream {
		return nil
	}
	if c.Dropped > 0 {
		stream := map[ledger.Stream]string{ledger.Stdout: " (stdout)", ledger.Stderr: " (stderr)"}
		p.ui.warn("%d bytes were not recorded here%s", c.Dropped, stream[c.Stream])
		return nil
	}
	to := p.ui.stdout
	if c.Stream == ledger.Stderr {
		to = p.ui.stderr
	}
	b := c.Bytes
	if !p.raw && isTerminal(to) {
		// A character may be split between two chunks.
		b = append(p.partial[c.Stream], b...)
		whole := len(b) - incomplete(b)
		p.partial[c.Stream] = bytes.Clone(b[whole:])
		b = b[:whole]
		b = []byte(escapeBut(string(b), "\n\t\\"))
	}
	return p.write(to, b)
}

// incomplete returns the number of bytes at the end of b that begin a character
// without completing it.
func incomplete(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

func (p *printer) write(to *os.File, b []byte) error {
	if _, err := to.Write(b); err != nil {
		return fail(exitError, "%v", err)
	}
	return nil
}
