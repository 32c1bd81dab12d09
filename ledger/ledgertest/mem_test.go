package ledgertest

import (
	"fmt"
	"sync"
	"testing"

	"idem/ledger"
)

// memHarness keeps one Mem for each place, as other harnesses use directories.
func memHarness() Harness {
	var places sync.Map
	var count int
	var mu sync.Mutex
	return Harness{
		New: func(t testing.TB) string {
			mu.Lock()
			defer mu.Unlock()
			count++
			place := fmt.Sprint(count)
			places.Store(place, NewMem())
			t.Cleanup(func() { places.Delete(place) })
			return place
		},
		Open: func(place string) (ledger.Ledger, error) {
			m, _ := places.Load(place)
			return m.(*Mem).Open(), nil
		},
		Offers: (*memHandle)(nil),
		Crash:  func(l ledger.Ledger) { l.(*memHandle).Mem.Crash(l) },
	}
}

func TestMem(t *testing.T) { Run(t, memHarness()) }

// TestMemModel compares Mem with itself. It shows that the model can be satisfied.
func TestMemModel(t *testing.T) { Model(t, memHarness()) }

func BenchmarkMem(b *testing.B) { Benchmark(b, memHarness()) }
