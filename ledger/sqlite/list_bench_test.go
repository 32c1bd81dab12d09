package sqlite

import (
	"testing"
	"time"

	"idem/ledger"
)

// BenchmarkList lists many records. The metric "scans" is its time as a multiple of that
// of the driver alone for the same columns, so it depends little on the machine.
func BenchmarkList(b *testing.B) {
	const n = 20_000
	l := filled(b, n)
	db, err := l.database(b.Context())
	must(b, err)
	var list, scan time.Duration
	for b.Loop() {
		begun := time.Now()
		records, err := ledger.Collect(l.List(b.Context(), ledger.Filter{Phases: ledger.Phases{ledger.PhaseSucceeded, ledger.PhaseFailed}}))
		must(b, err)
		list += time.Since(begun)
		if len(records) != n*9/10 {
			b.Fatalf("got %d records, want %d", len(records), n*9/10)
		}
		begun = time.Now()
		rows, err := db.QueryContext(b.Context(), "select "+recordColumns+", "+attemptColumns+
			" from attempts a cross join records r on r.id = a.record where a.state <> 'running' order by a.id desc")
		must(b, err)
		for rows.Next() {
			var s attemptScan
			var r [14]any
			dest := s.dest()
			for i := range r {
				dest = append([]any{&r[i]}, dest...)
			}
			must(b, rows.Scan(dest...))
		}
		must(b, rows.Err())
		must(b, rows.Close())
		scan += time.Since(begun)
	}
	b.ReportMetric(float64(list)/float64(scan), "scans")
	b.ReportMetric(float64(list)/float64(b.N)/n, "ns/record")
}
