package postgres

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres/pgtest"
)

// BenchmarkItems claims, begins and finishes keys, 256 at the same time.
func BenchmarkItems(b *testing.B) {
	server := pgtest.Shared(b)
	schema := server.NewSchema(b)
	must(b, initialize(b.Context(), server.URL(pgtest.Owner, pgtest.Database, schema), InitOptions{Grant: []string{pgtest.CI}}))
	l, err := Open(server.URL(pgtest.CI, pgtest.Database, schema), Options{LocalBase: b.TempDir()})
	must(b, err)
	defer l.Close()
	const slots = 256
	var claims [slots]ledger.Claim
	var runs [slots]ledger.Execution
	together := func(f func(ctx context.Context, i int)) {
		var changes []func(context.Context)
		for i := range slots {
			changes = append(changes, func(ctx context.Context) { f(ctx, i) })
		}
		l.session.Together(b.Context(), changes...)
	}
	n := 0
	for b.Loop() {
		n++
		together(func(ctx context.Context, i int) {
			var err error
			claims[i], err = l.Claim(ctx, ledger.ID{Namespace: "n", Key: fmt.Sprint(n, "-", i)})
			must(b, err)
		})
		together(func(ctx context.Context, i int) {
			var err error
			runs[i], err = claims[i].Begin(ctx, ledger.Start{RunID: uuid.NewString()})
			must(b, err)
		})
		together(func(ctx context.Context, i int) {
			_, err := runs[i].Finish(ctx, ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit, Final: true})
			must(b, err)
		})
		var all sync.WaitGroup
		for i := range slots {
			all.Go(func() { must(b, claims[i].Release()) })
		}
		all.Wait()
	}
	b.ReportMetric(float64(n*slots)/b.Elapsed().Seconds(), "items/s")
}
