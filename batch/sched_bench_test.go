package batch

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
	"time"

	"idem/items"
	"idem/ledger"
	"idem/ledger/sqlite"
	"idem/proc"
	"idem/runner"
)

// bench returns a batch of n items with the command true, on the embedded ledger.
func bench(b *testing.B, l ledger.Ledger, n int) *Batch {
	null, err := os.Open(os.DevNull)
	must(b, err)
	env := os.Environ()
	owner := ledger.Owner{Host: "here", PID: os.Getpid()}
	no := 0
	batch := &Batch{
		Runner: &runner.Runner{
			Ledger: l, Now: time.Now, NewRunID: newUUID,
			Owner:   func() ledger.Owner { return owner },
			Environ: func(runner.Attempt) []string { return env },
		},
		Parent: parent, RunID: newUUID(), Slots: 1, Wait: runner.Wait{Set: true},
		Next: func() (Entry, error) {
			if no == n {
				return Entry{}, io.EOF
			}
			no++
			name := strconv.Itoa(no)
			return Entry{Item: items.Item{No: no, Key: name, Name: name}, ID: ledger.ID{Namespace: "default", Key: "k/" + name}, Fingerprint: "f"}, nil
		},
	}
	path, err := proc.LookPath("true")
	must(b, err)
	argv := []string{"true"}
	batch.Call = func(e Entry) runner.Call {
		return runner.Call{
			ID: e.ID, Origin: ledger.Origin{Parent: parent, RunID: batch.RunID}, Stdin: null, Argv: argv, Path: path,
			Inputs: runner.Inputs{Fingerprint: e.Fingerprint, Encoded: []byte("{}")}, Output: runner.Output{Max: 1 << 20}, Wait: batch.Wait,
		}
	}
	return batch
}

// BenchmarkRun executes true.
func BenchmarkRun(b *testing.B) {
	for _, slots := range []int{1, 2, 8, 32} {
		b.Run(fmt.Sprint("j", slots), func(b *testing.B) {
			l, err := sqlite.Open(b.TempDir())
			must(b, err)
			defer l.Close()
			batch := bench(b, l, b.N)
			batch.Slots = slots
			batch.Direct()
			defer batch.Signals.Stop()
			if r := batch.Run(b.Context()); r.Counts[Done] != b.N {
				b.Fatalf("%+v", r)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
		})
	}
}

// all is a Successes that has every record.
type all struct{}

func (all) Has(ledger.ID, string) bool { return true }
func (all) Bytes() int                 { return 0 }

// BenchmarkSkip skips items without a look at the ledger.
func BenchmarkSkip(b *testing.B) {
	batch := bench(b, nil, b.N)
	s := newScheduler(b.Context(), batch)
	s.survey.Store(&survey{all{}, time.Now()})
	b.ReportAllocs()
	s.readAll()
	if s.skipped.Load() != int64(b.N) {
		b.Fatal("items were not skipped")
	}
}
