package batch

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"idem/items"
	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
	"idem/runner"
)

// kit makes calls of a batch. The command of an item is a shell script with the item as $1,
// in a directory of the test. It has side effects in the file side.
type kit struct {
	*testing.T
	dir   string
	mem   *ledgertest.Mem
	calls atomic.Int64
}

func newSched(t *testing.T) *kit { return &kit{T: t, dir: t.TempDir(), mem: ledgertest.NewMem()} }

// count adds the item to the file side.
const count = `echo "$1" >>side; `

var parent = ledger.ID{Namespace: "default", Key: "k"}

// list makes a batch of items in a separate handle of the ledger. An item "a=1" has the key
// of a, and the field 1.
func (k *kit) list(script string, names ...string) *testBatch {
	n := 0
	return k.from(script, func() (Entry, error) {
		if n == len(names) {
			return Entry{}, io.EOF
		}
		n++
		return entry(n, names[n-1]), nil
	})
}

func entry(no int, name string) Entry {
	key, field, _ := strings.Cut(name, "=")
	return Entry{Item: items.Item{No: no, Line: no, Raw: name, Key: key, Name: key}, ID: idOf(key), Fingerprint: "f" + field}
}

// from makes a batch of the items that next returns.
func (k *kit) from(script string, next func() (Entry, error)) *testBatch {
	b := &testBatch{kit: k}
	call := k.calls.Add(1)
	var runs atomic.Int64
	b.Runner = &runner.Runner{
		Ledger: k.mem.Open(), Now: time.Now,
		NewRunID: func() string { return fmt.Sprintf("%d-%d", call, runs.Add(1)) },
		Owner:    func() ledger.Owner { return ledger.Owner{Host: "here", PID: os.Getpid()} },
		Environ: func(a runner.Attempt) []string {
			return append(os.Environ(), fmt.Sprint("ATTEMPT=", a.Number), "KEY="+a.ID.Key)
		},
		Backlog: func() (proc.Backlog, error) { return os.CreateTemp(k.dir, "backlog") },
	}
	b.Parent, b.RunID, b.Slots, b.Next = parent, fmt.Sprint("call-", call), 1, next
	b.Wait.Set = true
	b.Call = func(e Entry) runner.Call {
		stdin, _ := os.Open(os.DevNull)
		c := runner.Call{
			ID: e.ID, Origin: ledger.Origin{Parent: parent, RunID: b.RunID}, Stdin: stdin,
			Argv:   []string{"sh", "-c", `cd "$0" && ` + script, k.dir, e.Key},
			Inputs: runner.Inputs{Fingerprint: e.Fingerprint}, Policy: b.Policy, Wait: b.Wait, Output: runner.Output{Max: -1},
		}
		if b.change != nil {
			b.change(&c)
		}
		return c
	}
	b.Tell = b.note
	return b
}

// testBatch is a batch that keeps its notices.
type testBatch struct {
	*kit
	Batch
	change func(*runner.Call) // changes the call of each item
	hear   func(Notice)       // is called for each notice

	mu      sync.Mutex
	notices []Notice
}

func (b *testBatch) note(n Notice) {
	b.mu.Lock()
	b.notices = append(b.notices, n)
	b.mu.Unlock()
	if b.hear != nil {
		b.hear(n)
	}
}

// of returns the keys of the notices of a kind, in order.
func (b *testBatch) of(kind Kind) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var keys []string
	for _, n := range b.notices {
		if n.Kind == kind {
			keys = append(keys, n.Key)
		}
	}
	return strings.Join(keys, " ")
}

// go runs the batch. A hang ends the test.
func (b *testBatch) run() Result {
	b.Helper()
	return <-b.begin()
}

func (b *testBatch) begin() <-chan Result {
	b.Direct()
	b.Cleanup(b.Signals.Stop)
	result := make(chan Result, 1)
	go func() { result <- b.Run(b.Context()) }()
	return result
}

// want runs the batch and checks its counts, in the form "3 done 1 failed", and its
// verdict.
func (b *testBatch) want(counts string, v Verdict) Result {
	b.Helper()
	r := b.run()
	r.check(b.T, counts, v)
	return r
}

func (r Result) check(t testing.TB, counts string, v Verdict) {
	t.Helper()
	if got := r.Counts.String(); got != counts || r.Verdict() != v {
		t.Errorf("got %s, verdict %v (%+v); want %s, verdict %v", got, r.Verdict(), r, counts, v)
	}
}

var fateNames = [fates]string{
	"done", "before", "elsewhere", "failed", "failed before", "refused", "interrupted", "mismatch", "conflict", "busy", "duplicate",
	"left out", "not reached", "unrecorded",
}

func (c Counts) String() string {
	var parts []string
	for f, n := range c {
		if n > 0 {
			parts = append(parts, fmt.Sprint(n, " ", fateNames[f]))
		}
	}
	return strings.Join(parts, ", ")
}

// side returns the lines of the file side, with blanks between them.
func (k *kit) side() string {
	b, _ := os.ReadFile(filepath.Join(k.dir, "side"))
	return strings.Join(strings.Fields(string(b)), " ")
}

func (k *kit) wantSide(want string) {
	k.Helper()
	if got := k.side(); got != want {
		k.Errorf("the commands ran for %q, want %q", got, want)
	}
}

// touch creates a file.
func (k *kit) touch(name string) {
	if err := os.WriteFile(filepath.Join(k.dir, name), nil, 0o600); err != nil {
		k.Fatal(err)
	}
}

// until waits for a file with at least a number of lines.
func (k *kit) until(name string, lines int) {
	k.Helper()
	for range 6000 {
		b, _ := os.ReadFile(filepath.Join(k.dir, name))
		if strings.Count(string(b), "\n") >= lines {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	k.Fatalf("%s never had %d lines", name, lines)
}

// numbers returns the items 1 to n.
func numbers(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(i + 1)
	}
	return names
}

// newUUID returns a run id of the form that the embedded ledger requires.
func newUUID() string {
	id, err := uuid.NewV7()
	if err != nil {
		panic(err)
	}
	return id.String()
}
