package cmd

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"idem/runner"
)

// gcView is the JSON object of idem gc.
type gcView struct {
	Schema  int           `json:"schema"`
	DryRun  bool          `json:"dry_run"`
	Removed gcRemovedView `json:"removed"` // or would be
	Bytes   gcBytesView   `json:"bytes"`   // of all recorded outputs
	Kept    gcKeptView    `json:"kept"`
}

type gcRemovedView struct {
	Spools     int `json:"spools"`
	Outputs    int `json:"outputs"`
	Superseded int `json:"outputs_superseded"`
	Old        int `json:"outputs_old"`
	Room       int `json:"outputs_over_max_bytes"`
	Records    int `json:"records"`
	Windows    int `json:"records_of_windows"`
	Keys       int `json:"records_of_keys"`
}

type gcBytesView struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

type gcKeptView struct {
	Running     int      `json:"running"`
	Interrupted int      `json:"interrupted"`
	Unreadable  []string `json:"unreadable"`
	Damaged     int      `json:"damaged"` // outputs whose records are damaged
}

// gcClasses are the lines of the table, in the order of the removals.
var gcClasses = []struct {
	why  runner.Removal
	text string
}{
	{runner.RemovalSuperseded, "replaced by a later attempt"},
	{runner.RemovalOld, "older than --outputs-older-than"},
	{runner.RemovalRoom, "over --max-bytes"},
}

func (r *gcReport) of(why runner.Removal) tally {
	if t := r.outputs[why]; t != nil {
		return *t
	}
	return tally{}
}

func (r *gcReport) view() gcView {
	v := gcView{
		Schema: metaSchema, DryRun: r.dryRun,
		Bytes: gcBytesView{r.before, r.after()},
		Kept:  gcKeptView{r.running, r.interrupted, []string{}, len(r.damaged)},
		Removed: gcRemovedView{
			Spools:     r.orphans,
			Superseded: r.of(runner.RemovalSuperseded).n, Old: r.of(runner.RemovalOld).n, Room: r.of(runner.RemovalRoom).n,
			Windows: r.records[runner.RemovalWindow], Keys: r.records[runner.RemovalKey],
		},
	}
	v.Removed.Outputs = v.Removed.Superseded + v.Removed.Old + v.Removed.Room
	v.Removed.Records = v.Removed.Windows + v.Removed.Keys
	for _, file := range r.unreadable {
		v.Kept.Unreadable = append(v.Kept.Unreadable, validText(file))
	}
	return v
}

func (a *app) reportGC(r *gcReport, o *gcOptions) error {
	for i, file := range r.unreadable {
		if i == maxUnreadable {
			a.ui.warn("%d further files are kept, which --json lists", len(r.unreadable)-i)
			break
		}
		a.ui.warn("kept a file that cannot be judged: %s", quote(file))
	}
	for i, o := range r.damaged {
		if i == maxUnreadable {
			a.ui.warn("%d further outputs are kept, whose records are damaged", len(r.damaged)-i)
			break
		}
		a.ui.warn("kept an output of key %s, run %s: its record is damaged", quote(o.ID.Key), o.RunID)
	}
	v := r.view()
	switch {
	case o.json:
		return a.printJSON(v)
	case a.ui.quiet:
		return a.print(gcLine(v))
	}
	return a.print(r.table(v))
}

// maxUnreadable is the number of files, and of damaged records, that are named.
const maxUnreadable = 10

func gcLine(v gcView) string {
	verb := "removed"
	if v.DryRun {
		verb = "would remove"
	}
	return fmt.Sprintf("%s %s and %s, %s of %s\n", verb, plural(v.Removed.Spools+v.Removed.Outputs, "output"), plural(v.Removed.Records, "key"),
		sizeText(v.Bytes.Before-v.Bytes.After), sizeText(v.Bytes.Before))
}

func (r *gcReport) table(v gcView) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "REMOVED"
	if v.DryRun {
		head = "WOULD REMOVE"
	}
	row := func(n int, bytes int64, text string) {
		fmt.Fprintf(w, "%d\t%s\t  %s\n", n, sizeText(bytes), text)
	}
	fmt.Fprintf(w, "%s\tSIZE\t  \n", head)
	row(r.orphans, r.orphanBytes, "outputs that no record names")
	for _, c := range gcClasses {
		t := r.of(c.why)
		row(t.n, t.bytes, "outputs "+c.text)
	}
	row(v.Removed.Records, r.recordBytes, "keys, with their steps or items")
	_ = w.Flush() // into memory
	lines := strings.SplitAfter(b.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \n")
	}
	text := strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
	text += fmt.Sprintf("outputs: %s, were %s\n", sizeText(v.Bytes.After), sizeText(v.Bytes.Before))
	if v.DryRun {
		text = strings.Replace(text, "outputs: ", "outputs would be ", 1)
		text = strings.Replace(text, ", were ", ", are ", 1)
	}
	if n := v.Kept.Running + v.Kept.Interrupted; n > 0 {
		text += fmt.Sprintf("kept: %d running, %d interrupted\n", v.Kept.Running, v.Kept.Interrupted)
	}
	return text
}

func sizeText(n int64) string { return humanize.IBytes(uint64(max(0, n))) }
