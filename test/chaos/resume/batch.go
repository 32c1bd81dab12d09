package resume

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"idem/test/chaos/lab"
)

// Batch is a list of items for idem each, for the parts that break the disk below the
// ledger. Its files are in a directory that is not on that disk.
type Batch struct {
	Key   string
	dir   string
	self  string
	items []string
	calls int
}

// NewBatch makes a list of n items.
func NewBatch(dir, self, key string, n int) (*Batch, error) {
	b := &Batch{Key: key, dir: dir, self: self}
	for i := range n {
		b.items = append(b.items, fmt.Sprintf("item-%03d", i))
	}
	if err := os.MkdirAll(filepath.Join(dir, "locks"), 0o700); err != nil {
		return nil, err
	}
	return b, os.WriteFile(filepath.Join(dir, "list"), []byte(strings.Join(b.items, "\n")+"\n"), 0o600)
}

// Args returns the arguments of the next call of idem each. No command fails.
func (b *Batch) Args() []string {
	b.calls++
	return []string{
		"each", "--key", b.Key, "-j", "4", "--arg-file", filepath.Join(b.dir, "list"), "--events", b.events(b.calls),
		"--", b.self, "resume-command", b.dir, itemTakes, "0",
	}
}

func (b *Batch) events(call int) string { return filepath.Join(b.dir, fmt.Sprint("events.", call)) }

// Keys returns the keys of the items.
func (b *Batch) Keys() (keys []string) {
	for _, item := range b.items {
		keys = append(keys, b.Key+"/"+item)
	}
	return keys
}

// Acknowledged returns the items that a call has reported as done.
func (b *Batch) Acknowledged() map[string]bool {
	done := map[string]bool{}
	for call := 1; call <= b.calls; call++ {
		text, err := os.ReadFile(b.events(call))
		if !errors.Is(err, fs.ErrNotExist) {
			lab.Must(err)
		}
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			var e struct{ Event, Key, State string }
			if json.Unmarshal(line, &e) == nil && e.Event == "end" && e.State == "succeeded" { // a kill may cut the last line
				done[e.Key] = true
			}
		}
	}
	return done
}

// Starts counts the starts of commands by key.
func (b *Batch) Starts() map[string]int {
	starts := map[string]int{}
	events, err := lab.ReadJournal(journalOf(b.dir))
	if !errors.Is(err, os.ErrNotExist) { // otherwise nothing was started
		lab.Must(err)
	}
	for _, e := range events {
		if e.Kind == lab.Started {
			starts[e.Call]++
		}
	}
	return starts
}
