package batch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"idem/runner"
)

// TestOutputOfABatch prints the outputs of items that run at the same time, and then their
// records.
func TestOutputOfABatch(t *testing.T) {
	k := newSched(t)
	const script = `echo "$1 begins"; echo "$1 warns" >&2; sleep 0.0$(( ($1 * 7) % 5 )); echo "$1 ends"; [ $1 != 3 ]`
	names := append(numbers(20), "5", "7")
	var wantOut, wantErr strings.Builder
	for _, name := range numbers(20) {
		fmt.Fprintf(&wantOut, "%s begins\n%s ends\n", name, name)
		fmt.Fprintf(&wantErr, "%s warns\n", name)
	}
	for _, c := range []struct {
		name      string
		replayAll bool
		out, err  string
	}{
		{"first", false, wantOut.String(), wantErr.String()},
		{"again", false, "3 begins\n3 ends\n", "3 warns\n"},
		{"all", true, wantOut.String() + "5 begins\n5 ends\n7 begins\n7 ends\n", wantErr.String() + "5 warns\n7 warns\n"},
		{"all again", true, wantOut.String() + "5 begins\n5 ends\n7 begins\n7 ends\n", wantErr.String() + "5 warns\n7 warns\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := k.list(script, names...)
			r := newRig(t, PrinterOptions{}, false)
			r.Printer.o.Ledger = b.Runner.Ledger
			b.Printer, b.Slots, b.ReplayAll = r.Printer, 4, c.replayAll
			if res := b.run(); res.Counts[Failed] != 1 || res.Verdict() != VerdictFailed {
				t.Errorf("got %v", res.Counts)
			}
			r.want(c.out, c.err)
		})
	}
}

// TestOutputOfRetries prints the outputs of all attempts.
func TestOutputOfRetries(t *testing.T) {
	k := newSched(t)
	b := k.list(`echo "$1.$ATTEMPT"; [ $1 = a ] || [ $ATTEMPT = 3 ]`, "x", "a")
	r := newRig(t, PrinterOptions{}, false)
	r.Printer.o.Ledger = b.Runner.Ledger
	b.Printer = r.Printer
	b.change = func(c *runner.Call) { c.Retries = runner.Retries{N: 2} }
	b.want("2 done", VerdictDone)
	r.want("x.1\nx.2\nx.3\na.1\n", "")
}

// TestNoticesOfASurvey has many items that were read before the survey that skips them. Neither
// their outputs nor their notices may fill the memory.
func TestNoticesOfASurvey(t *testing.T) {
	for _, c := range []struct {
		name             string
		skips, replayAll bool
		want             int
	}{
		{"silent", false, false, 0},
		{"with notices of skipped items", true, false, maxNotices},
		{"with replays", false, true, maxNotices},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newSched(t)
			b := k.list("true")
			b.Printer, b.Skips, b.ReplayAll = newRig(t, PrinterOptions{}, false).Printer, c.skips, c.replayAll
			s := newScheduler(t.Context(), &b.Batch)
			for i, name := range numbers(2 * maxNotices) {
				s.intake.push(&unit{Entry: entry(i+1, name)})
			}
			s.survey.Store(&survey{all{}, time.Now()})
			if u := s.pop(); u != nil {
				t.Fatalf("item %s is taken", u.Key)
			}
			if len(s.notices) != c.want {
				t.Errorf("got %d notices, want %d", len(s.notices), c.want)
			}
		})
	}
}
