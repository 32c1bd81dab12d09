package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
	"idem/ledger/postgres"
	"idem/ledger/postgres/pgtest"
)

// measureRates measures the ledger without processes: claims, items of a batch, renewals.
func (s *shared) measureRates() {
	s.progress("%s: rates", sharedWork)
	s.demand(unit("1/s", atLeast("shared: claims at 8 connections", 2000, s.claims(8))))
	s.demand(unit("1/s", atLeast("shared: items of each, 256 a statement, without the spawn", 5000, s.items(256))))
	s.demand(unit("%", atLeast("shared: renewals that change no index (HOT)", 95, s.hot(200))))
}

func unit(name string, d demand) demand {
	d.Unit = name
	return d
}

// open returns a handle, which the end closes.
func (s *shared) open(place string, o postgres.Options) *postgres.Ledger {
	o.LocalBase = filepath.Join(s.dir, "base")
	l, err := postgres.Open(place, o)
	s.must(err)
	s.Cleanup(func() { _ = l.Close() })
	return l
}

// claims returns how many claims a second n handles get, one after the other each.
func (s *shared) claims(n int) float64 {
	const each, warm = 1000, 20
	place := s.ledger(s.server, via(s.server.Addr()))
	var all, ready sync.WaitGroup
	ready.Add(n)
	start := make(chan struct{})
	failed := make(chan error, n)
	claims := make([][]ledger.Claim, n)
	for i := range n {
		l := s.open(place, postgres.Options{})
		all.Go(func() {
			for k := range warm + each {
				if k == warm {
					ready.Done()
					<-start
				}
				c, err := l.Claim(context.Background(), ledger.ID{Namespace: "n", Key: fmt.Sprint(i, "-", k)})
				if err != nil {
					failed <- err
					if k < warm {
						ready.Done()
					}
					return
				}
				claims[i] = append(claims[i], c)
			}
		})
	}
	ready.Wait()
	begin := time.Now()
	close(start)
	all.Wait()
	took := time.Since(begin)
	for _, some := range claims {
		s.release(some)
	}
	select {
	case err := <-failed:
		s.must(err)
	default:
	}
	return float64(n*each) / took.Seconds()
}

// release releases claims. Otherwise their leases would be renewed during the next measurement.
func (s *shared) release(claims []ledger.Claim) {
	var all sync.WaitGroup
	for _, c := range claims {
		if c != nil {
			all.Go(func() { _ = c.Release() }) // without the server, the lease ends by itself
		}
	}
	all.Wait()
}

// items returns how many items a second one handle claims, begins, finishes and releases,
// size of them at the same time.
func (s *shared) items(size int) float64 {
	const rounds, warm = 40, 4
	l := s.open(s.ledger(s.server, via(s.server.Addr())), postgres.Options{})
	claims, runs, errs := make([]ledger.Claim, size), make([]ledger.Execution, size), make([]error, size)
	together := func(f func(ctx context.Context, i int) error) {
		changes := make([]func(context.Context), size)
		for i := range size {
			changes[i] = func(ctx context.Context) { errs[i] = f(ctx, i) }
		}
		l.Together(context.Background(), changes...)
		for _, err := range errs {
			s.must(err)
		}
	}
	var begin time.Time
	for n := range warm + rounds {
		if n == warm {
			begin = time.Now()
		}
		together(func(ctx context.Context, i int) (err error) {
			claims[i], err = l.Claim(ctx, ledger.ID{Namespace: "n", Key: fmt.Sprint(n, "-", i)})
			return err
		})
		together(func(ctx context.Context, i int) (err error) {
			runs[i], err = claims[i].Begin(ctx, ledger.Start{RunID: uuid.NewString()})
			return err
		})
		together(func(ctx context.Context, i int) error {
			_, err := runs[i].Finish(ctx, ledger.Outcome{State: ledger.Succeeded, Reason: ledger.ReasonExit, Final: true})
			return err
		})
		s.release(claims)
	}
	return float64(size*rounds) / time.Since(begin).Seconds()
}

// hot returns the share of the renewals of n claims, in percent, that wrote no index. It looks
// at 10,000 renewals.
func (s *shared) hot(n int) float64 {
	place := s.ledger(s.server, via(s.server.Addr()))
	l := s.open(place, postgres.Options{Lease: 2 * time.Second})
	schema := schemaOf(place)
	claims := make([]ledger.Claim, n)
	defer s.release(claims)
	for from := 0; from < n; from += 200 {
		var changes []func(context.Context)
		errs := make([]error, min(200, n-from))
		for i := range errs {
			changes = append(changes, func(ctx context.Context) {
				claims[from+i], errs[i] = l.Claim(ctx, ledger.ID{Namespace: "n", Key: strconv.Itoa(from + i)})
			})
		}
		l.Together(context.Background(), changes...)
		for _, err := range errs {
			s.must(err)
		}
	}
	read := func() (updates, hot float64) {
		// A session writes its figures at its end, or within a second.
		rows := s.server.Query(s, "select n_tup_upd, n_tup_hot_upd from pg_stat_all_tables where schemaname = '"+schema+"' and relname = 'record'")
		_, err := fmt.Sscan(strings.ReplaceAll(rows, "|", " "), &updates, &hot)
		s.must(err)
		return updates, hot
	}
	updates0, hot0 := read()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		updates, hot := read()
		if updates-updates0 >= 10_000 {
			return 100 * (hot - hot0) / (updates - updates0)
		}
		if time.Now().After(end) {
			s.Fatalf("only %v renewals", updates-updates0)
		}
	}
}

// schemaOf returns the schema in a URL of this file.
func schemaOf(place string) string {
	_, rest, _ := strings.Cut(place, "schema=")
	name, _, _ := strings.Cut(rest, "&")
	return name
}

var _ pgtest.T = (*kit)(nil)
