package report

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger"
)

// many is a history of n attempts in 90 days: half are those of jobs of cron, half those of
// separate keys.
func many(n int) *fixture {
	h := newHistory()
	first := made.AddDate(0, 0, -89)
	for i := range n {
		at := first.Add(89 * 24 * time.Hour / time.Duration(n) * time.Duration(i))
		e := good
		if h.rand.IntN(50) == 0 {
			e = bad
		}
		took := h.about(time.Duration(1+i%40) * time.Second)
		if j := i / 2; i%2 == 0 {
			h.run(ledger.ID{Key: fmt.Sprintf("cron:job%d", j%24), Window: first.Add(time.Duration(j/24) * time.Hour).Format("2006-01-02T15-07:00")}, at, took, e)
		} else {
			h.run(ledger.ID{Key: fmt.Sprintf("order:%d:charge", 4_000_000+i)}, at, took, e)
		}
	}
	return h.fixture
}

func quarter() Options {
	o := optionsOf()
	o.Since = made.AddDate(0, 0, -90)
	return o
}

// TestSizeOfAPage checks that 100,000 attempts need at most 3 MB.
func TestSizeOfAPage(t *testing.T) {
	testkit.Slow(t, "100,000 attempts")
	r := collected(t, many(100_000), quarter())
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 100_000 || b.Len() > 3_000_000 {
		t.Errorf("got a page of %d bytes for %d attempts, want at most 3 MB for 100,000", b.Len(), len(r.Runs))
	}
	written(t, r)
}

func BenchmarkReport(b *testing.B) {
	f := many(100_000)
	for b.Loop() {
		r, err := Collect(b.Context(), f, quarter())
		if err != nil {
			b.Fatal(err)
		}
		var page bytes.Buffer
		if err := r.Write(&page); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(page.Len()), "bytes/page")
	}
}
