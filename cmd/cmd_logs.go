package cmd

import (
	"cmp"
	"context"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/runner"
)

const logsLong = `Print the recorded output of a key's last attempt: stdout to stdout, and stderr
to stderr.

In a pipe, the bytes are exact. On a terminal, control characters other than
newline and tab are escaped; --raw prints them unchanged. Where --max-output
left a part out, a terminal and --timestamps have a line in brackets. Otherwise,
a warning on stderr says how much is missing.

--json and --jsonl write both streams to stdout, in the order in which they were
recorded. The elements are pieces of a stream, and gaps. The text of a piece is
a string, or {"base64": "..."} if it is not UTF-8.`

type logsOptions struct {
	attempt, lines int
	timestamps     bool
	stdout, stderr bool
	follow, raw    bool
	json, jsonl    bool
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
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("lines") && o.lines < 0 {
				return usage("--lines requires a number of at least 0")
			}
			if err := o.checkPairs(c.Flags()); err != nil {
				return err
			}
			return a.logs(c.Context(), args[0], record, o)
		},
	}
	record = newRecordFlags(c, nil, true)
	f := c.Flags()
	f.IntVar(&o.attempt, "attempt", 0, "print the output of attempt `N` (default: the last)")
	f.IntVarP(&o.lines, "lines", "n", -1, "print only the last `N` lines (default: all)")
	f.Lookup("lines").DefValue = ""
	f.BoolVar(&o.timestamps, "timestamps", false, "begin each line with the time since the start of the attempt, such as +0.123s")
	f.BoolVar(&o.stdout, "stdout", false, "print only the standard output")
	f.BoolVar(&o.stderr, "stderr", false, "print only the standard error")
	a.pagerFlag(f)
	f.BoolVarP(&o.follow, "follow", "f", false, "follow a running attempt until it ends")
	f.BoolVar(&o.raw, "raw", false, "print the exact bytes on a terminal too")
	f.BoolVar(&o.json, "json", false, "print a JSON array of the pieces of the output")
	f.BoolVar(&o.jsonl, "jsonl", false, "print the elements of the array, one on each line")
	return c
}

func (a *app) logs(ctx context.Context, key string, record *recordFlags, o *logsOptions) error {
	if o.attempt < 0 {
		return usage("--attempt requires a number of at least 1")
	}
	l, rec, err := a.lookUp(ctx, key, record)
	if err != nil {
		return err
	}
	at, err := attemptOf(ctx, l, rec, o.attempt)
	if err != nil {
		return err
	}
	if !at.OutputRemoved.IsZero() {
		return removedFailure(at)
	}
	r := &logReader{ledger: l, id: rec.ID, runID: at.RunID, only: o.only(), last: o.lines, follow: o.follow}
	if o.follow {
		a.pager.off = true
	}
	if o.json || o.jsonl {
		err = a.writeChunks(r.chunks(ctx), o)
	} else {
		err = a.printChunks(r.chunks(ctx), o)
	}
	if err != nil {
		return err
	}
	a.reportRecorded(at.Number, r.attempt, r.running)
	if !r.found && !r.running && !r.attempt.NoOutput {
		a.ui.note("no output of attempt %d was recorded", at.Number)
	}
	return nil
}

// printChunks prints the chunks of an output to the streams that they are of.
func (a *app) printChunks(chunks iter.Seq2[ledger.Chunk, error], o *logsOptions) error {
	p := printer{
		stamps: o.timestamps, ui: &a.ui,
		screen: !o.raw && isTerminal(a.ui.stdout), errScreen: !o.raw && isTerminal(a.ui.stderr), page: a.page,
		inLine: map[ledger.Stream]bool{}, partial: map[ledger.Stream][]byte{},
	}
	for c, err := range chunks {
		if err != nil {
			return cmp.Or(p.end(ledger.Stdout, ledger.Stderr), err)
		}
		if err := p.chunk(c); err != nil {
			return err
		}
	}
	return p.end(ledger.Stdout, ledger.Stderr)
}

// writeChunks writes the chunks of an output as JSON. Those of a followed attempt are written at
// once.
func (a *app) writeChunks(chunks iter.Seq2[ledger.Chunk, error], o *logsOptions) error {
	out := newListWriter(&a.ui, a.page)
	var w io.Writer = out
	if o.follow {
		w = flushing{out}
	}
	write := writeArray[chunkView]
	if o.jsonl {
		write = writeLines[chunkView]
	}
	return out.endWhole(write(w, viewChunks(chunks)))
}

// removedFailure returns the failure of a command that reads an output that was removed.
func removedFailure(at ledger.Attempt) *failure {
	name := "the mark"
	if at.Number > 0 {
		name = attemptText(at)
	}
	return fail(exitError, "the output of %s was removed", name).detail("%s", removedText(at))
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
