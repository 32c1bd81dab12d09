package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"idem/ledger"
)

// ExportOptions say what Export writes.
type ExportOptions struct {
	Header Header
	// Filter selects the records. OldestFirst is set by Export.
	Filter ledger.Filter
}

// SecretID identifies a secret without revealing anything about it: secrets are 32 random bytes.
// It is "" for nil.
func SecretID(secret []byte) string {
	if secret == nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte("idem secret id v1\n"), secret...))
	return hex.EncodeToString(sum[:8])
}

// Export writes the records of l, and returns how many. It reads while other calls change the
// ledger: a record is written as it is at one moment, each at another one. Memory is bounded by one
// record without its outputs, by the list of l, and by 16 bytes for each key of Numbers.
func Export(ctx context.Context, l ledger.Ledger, to io.Writer, o ExportOptions) (records int, err error) {
	from, ok := l.(ledger.Transferring)
	if !ok {
		return 0, errors.New("the records of this ledger cannot be moved")
	}
	w, err := newWriter(to, o.Header)
	if err != nil {
		return 0, err
	}
	if err := w.allNumbers(ctx, from, o.Filter); err != nil {
		return 0, err
	}
	o.Filter.OldestFirst = true
	for r, err := range l.List(ctx, o.Filter) {
		if err == nil {
			err = w.export(ctx, l, r, o.Header)
		}
		if err != nil {
			return w.records, err
		}
	}
	// A key that was forgotten before its record was read would be in no line, and its tokens would
	// return. So would those of the steps of a key that has begun a new series.
	if err := w.allNumbers(ctx, from, o.Filter); err != nil {
		return w.records, err
	}
	return w.records, w.end()
}

// allNumbers writes the numbers that another ledger must know, unless they were written before. A
// record with a series has steps or items, which may be selected.
func (w *writer) allNumbers(ctx context.Context, from ledger.Transferring, f ledger.Filter) error {
	for r, err := range from.Numbers(ctx, f.Namespace) {
		selected := f.Globs.Match(r.ID.Key)
		if err == nil && (selected || r.Series != 0) {
			err = w.numbers(r, r.Current.RunID != "" || !selected)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole is a record with its history, as they were at one moment.
type whole struct {
	ledger.Record
	history []ledger.Attempt
	files   map[string][]ledger.File // by run ID
}

// wholeOf reads a record that was read before. It has no history if it was forgotten since.
func wholeOf(ctx context.Context, l ledger.Ledger, r ledger.Record) (whole, error) {
	for {
		history, err := l.Attempts(ctx, r.ID)
		if err != nil {
			return whole{}, err
		}
		files, unread := filesOf(ctx, l, r.ID, history)
		again, err := l.Get(ctx, r.ID)
		if err != nil {
			return whole{}, err
		}
		// Each change raises a number, or replaces the current attempt, or ends it. So the history
		// between two equal readings belongs to them.
		same := r.Generation == again.Generation && r.Fence == again.Fence && r.Series == again.Series && r.Parent == again.Parent &&
			r.Current.RunID == again.Current.RunID && r.Current.State == again.Current.State
		r = again
		switch {
		case r.Current.RunID == "":
			return whole{Record: r}, nil
		case unread != nil && (same || !errors.Is(unread, ledger.ErrNotFound)):
			return whole{}, unread
		case same && len(history) > 0 && history[len(history)-1].RunID == r.Current.RunID:
			return whole{r, history, files}, nil
		}
	}
}

// export writes a record that was read before. One that was forgotten since is left out.
func (w *writer) export(ctx context.Context, l ledger.Ledger, r ledger.Record, h Header) error {
	now, err := wholeOf(ctx, l, r)
	if err == nil && len(now.history) > 0 {
		err = w.record(now.Record, len(now.history))
	}
	for _, a := range now.history {
		if err == nil {
			err = w.exportAttempt(ctx, l, r.ID, a, h)
		}
		for _, f := range now.files[a.RunID] {
			if err == nil {
				err = w.file(f)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("key %q: %w", r.ID.Key, err)
	}
	return nil
}

// exportAttempt writes an attempt with its output. The output can be removed until it is open.
func (w *writer) exportAttempt(ctx context.Context, l ledger.Ledger, id ledger.ID, a ledger.Attempt, h Header) error {
	if a.NoOutput || !a.OutputRemoved.IsZero() {
		return w.attempt(a)
	}
	if !h.Outputs {
		if a.OutputBytes > 0 {
			a.RemoveOutput(h.Exported)
		}
		return w.attempt(a)
	}
	out, err := l.Output(ctx, id, a.RunID)
	if errors.Is(err, ledger.ErrNotFound) { // the key was forgotten since
		a.RemoveOutput(h.Exported)
		return w.attempt(a)
	}
	if err != nil {
		return err
	}
	defer out.Close()
	gaps, err := out.Check()
	if err != nil {
		return err
	}
	if !gaps.Removed.IsZero() {
		a.RemoveOutput(gaps.Removed)
	}
	if err := w.attempt(a); err != nil || !gaps.Removed.IsZero() {
		return err
	}
	return w.copyOutput(out)
}

func filesOf(ctx context.Context, l ledger.Ledger, id ledger.ID, history []ledger.Attempt) (map[string][]ledger.File, error) {
	all := map[string][]ledger.File{}
	for _, a := range history {
		if a.Files == 0 {
			continue
		}
		files, err := l.Files(ctx, id, a.RunID)
		if err != nil {
			return nil, err
		}
		all[a.RunID] = files
	}
	return all, nil
}

func (w *writer) copyOutput(out ledger.Output) error {
	for {
		c, err := out.Next()
		if errors.Is(err, io.EOF) {
			return w.flush()
		}
		if err == nil {
			err = w.output(c)
		}
		if err != nil {
			return err
		}
	}
}
