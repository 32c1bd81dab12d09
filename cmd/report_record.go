package cmd

import (
	"context"
	"fmt"
	"io"
	"strings"

	"idem/ledger"
	"idem/runner"
)

// recordText is what idem show prints for a person. The parts that change come first, those
// that identify the record last.
type recordText struct {
	strings.Builder
	a     *app
	store ledger.Store
	ledger.Record
	width    int // in cells
	command  string
	token    string
	mutexes  []heldView
	attempts []ledger.Attempt
	late     []ledger.Attempt
	files    map[string][]fileView // by run id
	tree     stepTree
	lines    int // of the output
}

// write writes all parts.
func (r *recordText) write(ctx context.Context) error {
	r.head()
	r.WriteString("\n")
	if err := historyTable(r, r.width, r.a.now(), r.Record, r.attempts); err != nil {
		return err
	}
	r.writeLate()
	if err := r.writeFiles(); err != nil {
		return err
	}
	if r.Phase() == ledger.PhaseBatch {
		if err := writeBatch(ctx, r, r.width, r.a.now(), r.store, r.Record); err != nil {
			return err
		}
	} else if err := r.tree.write(r, r.width, timeOf(r.attempts...)); err != nil {
		return err
	}
	r.identity()
	if r.lines == 0 {
		return nil
	}
	return r.writeOutput(ctx)
}

// fields writes the fields of pairs of a name and a text; a text of "" has none. Texts that a
// person may paste are not broken into lines.
func fields(to io.Writer, pairs ...string) {
	wide := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			wide = max(wide, len(pairs[i]+": ")) // with which a fingerprint fits 80 cells
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			_, _ = fmt.Fprintf(to, "%-*s%s\n", wide, pairs[i]+":", pairs[i+1]) // into memory
		}
	}
}

func (r *recordText) head() {
	item, lease, inputs, command := "", "", "", r.command
	if _, hashed := nameOf(r.Record); hashed {
		item, _ = itemOf(r.Record)
	}
	if r.Lease != nil {
		lease = leaseText(r.Lease)
	}
	if unbound(r.Record) {
		inputs, command = "any", ""
	}
	pairs := []string{
		"key", escape(r.ID.Key), "item", escape(item), "namespace", escape(r.ID.Namespace), "window", escape(r.ID.Window),
		"part of", escape(r.Parent.Key), "state", painter(r.a.ui.stdout)(string(r.Phase()), r.Phase()), "lease", lease,
	}
	for _, m := range r.mutexes {
		pairs = append(pairs, "mutex", fmt.Sprintf("%s (%s)", escape(m.Mutex), m.State))
	}
	fields(r, append(pairs, "inputs", inputs, "command", command)...) // an item has no command
}

// identity writes the fields that other programs ask for.
func (r *recordText) identity() {
	fingerprint := r.Current.Fingerprint
	if unbound(r.Record) {
		fingerprint = ""
	}
	r.WriteString("\n")
	fields(r, "token", r.token, "generation", fmt.Sprint(r.Generation), "fence", fmt.Sprint(r.Fence), "fingerprint", fingerprint)
}

// writeLate lists the outcomes that came too late.
func (r *recordText) writeLate() {
	if len(r.late) == 0 {
		return
	}
	r.WriteString("\nOutcomes that came after the key was taken over:\n")
	for _, at := range r.late {
		fmt.Fprintf(r, "  %s, ended %s on %s\n    run %s\n", outcomeText(at), stamp(at.Ended), escape(at.Owner.Host), at.RunID)
	}
}

// writeFiles writes the additions of attempts to files as a table.
func (r *recordText) writeFiles() error {
	if len(r.files) == 0 {
		return nil
	}
	r.WriteString("\n")
	t := &screenTable{to: r, width: r.width, whole: true, columns: []column{
		{"ATTEMPT", false, always},
		{"APPENDED", true, always},
		{"FILE", false, always},
	}}
	for _, at := range r.attempts {
		for _, f := range r.files[at.RunID] {
			size := fmt.Sprintf("%d bytes", f.Bytes)
			if !f.Recorded {
				size = "not recorded"
			}
			if err := t.add(screenRow{texts: []string{attemptName(at), size, escape(string(f.Name))}}); err != nil {
				return err
			}
		}
	}
	return t.flush()
}

// writeOutput writes the last lines of the output of the latest attempt that has one.
func (r *recordText) writeOutput(ctx context.Context) error {
	at, found, err := runner.AttemptNumbered(ctx, r.store, r.ID, 0)
	if err != nil || !found {
		return err
	}
	lines, err := tailOf(ctx, r.store, r.ID, at.RunID, r.lines)
	if err != nil {
		return err
	}
	text := plural(len(lines), "line")
	if len(lines) == r.lines {
		text = "the last " + text
	}
	fmt.Fprintf(r, "\noutput of %s, %s:\n", attemptText(at), text)
	for _, line := range lines {
		r.WriteString("  " + line + "\n")
	}
	return nil
}
