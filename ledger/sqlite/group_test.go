package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"idem/ledger"
)

// begun returns n running attempts of a ledger, each with output.
func begun(t testing.TB, l *Ledger, n, output int) (ids []ledger.ID, xs []ledger.Execution) {
	t.Helper()
	for i := range n {
		id := ledger.ID{Namespace: "default", Key: fmt.Sprint("item ", i)}
		c, err := l.Claim(t.Context(), id)
		must(t, err)
		x, err := c.Begin(t.Context(), ledger.Start{RunID: fmt.Sprint("run", i), Fingerprint: "h1:f", MaxOutput: -1})
		must(t, err)
		x.Write(ledger.Stdout, make([]byte, output))
		ids, xs = append(ids, id), append(xs, x)
	}
	return ids, xs
}

func commits(t testing.TB, l *Ledger) (n int) {
	t.Helper()
	must(t, l.db.QueryRow("select n from commits").Scan(&n))
	return n
}

// TestTogetherIsOneCommit checks that the first changes of one call of Together are one
// commit.
func TestTogetherIsOneCommit(t *testing.T) {
	l := opened(t, fresh(t))
	_, xs := begun(t, l, 20, 10)
	before := commits(t, l)
	var changes []func(context.Context)
	for _, x := range xs {
		changes = append(changes, func(context.Context) {
			if _, err := x.Finish(t.Context(), success); err != nil {
				t.Error(err)
			}
		})
	}
	next, err := l.Claim(t.Context(), theKey)
	must(t, err)
	l.Together(t.Context(), append(changes, func(context.Context) {}, func(context.Context) {
		if _, err := next.Begin(t.Context(), ledger.Start{RunID: "next"}); err != nil {
			t.Error(err)
		}
	})...)
	if n := commits(t, l) - before; n != 1 {
		t.Errorf("got %d commits, want 1", n)
	}
}

// TestErrorOfSQLiteInAGroup checks that SQLite can refuse one change of a group. The other
// changes are committed, although the common transaction was given up.
func TestErrorOfSQLiteInAGroup(t *testing.T) {
	l := opened(t, fresh(t))
	runs(t, l, theKey, "r0", nil, success)
	const n = 9
	var errs [n]error
	var made [n]int
	var changes []func(context.Context)
	for i := range n {
		changes = append(changes, func(context.Context) {
			errs[i] = l.write(t.Context(), func(tx querier) error {
				made[i]++
				if i == 5 {
					if _, err := tx.ExecContext(t.Context(), "insert into outputs (attempt, frames) values (-5, 'x')"); err != nil {
						return err
					}
					_, err := tx.ExecContext(t.Context(), "insert into outputs (attempt, frames) values (-5, 'twice')")
					return err
				}
				_, err := tx.ExecContext(t.Context(), "insert into outputs (attempt, frames) values (?, 'x')", -100-i)
				return err
			})
		})
	}
	l.Together(t.Context(), changes...)
	for i, err := range errs {
		if (err != nil) != (i == 5) {
			t.Errorf("change %d: got error %v", i, err)
		}
	}
	var kept, of5 int
	must(t, l.db.QueryRow("select count(*) from outputs where attempt < -5").Scan(&kept))
	must(t, l.db.QueryRow("select count(*) from outputs where attempt = -5").Scan(&of5))
	if kept != n-1 || of5 != 0 {
		t.Errorf("%d changes were kept, want %d; of the one that failed, %d", kept, n-1, of5)
	}
}

// TestEffectsOfAFailedChange checks that a change of a group that fails by itself leaves no
// effect and is not made again.
func TestEffectsOfAFailedChange(t *testing.T) {
	l := opened(t, fresh(t))
	runs(t, l, theKey, "r0", nil, success)
	before := commits(t, l)
	mine := errors.New("mine")
	var errs [8]error
	var changes []func(context.Context)
	for i := range errs {
		changes = append(changes, func(context.Context) {
			errs[i] = l.write(t.Context(), func(tx querier) error {
				_, err := tx.ExecContext(t.Context(), "insert into outputs (attempt, frames) values (?, 'x')", -1-i)
				if i%2 > 0 {
					err = errors.Join(err, mine)
				}
				return err
			})
		})
	}
	l.Together(t.Context(), changes...)
	for i, err := range errs {
		if errors.Is(err, mine) != (i%2 > 0) || err != nil && i%2 == 0 {
			t.Errorf("change %d: got error %v", i, err)
		}
	}
	var kept int
	must(t, l.db.QueryRow("select count(*) from outputs where attempt < 0").Scan(&kept))
	if n := commits(t, l) - before; kept != 4 || n != 1 {
		t.Errorf("%d changes were kept in %d commits, want 4 in 1", kept, n)
	}
}

// TestPanicInAGroup checks that a change that panics blocks no other one, and that a change
// whose transaction was given up is not acknowledged.
func TestPanicInAGroup(t *testing.T) {
	l := opened(t, fresh(t))
	runs(t, l, theKey, "r0", nil, success)
	var panics int
	var mu sync.Mutex
	var kept []int
	var changes []func(context.Context)
	for i := range 6 {
		changes = append(changes, func(context.Context) {
			defer func() {
				if recover() != nil {
					mu.Lock()
					defer mu.Unlock()
					panics++
				}
			}()
			err := l.write(context.Background(), func(tx querier) error {
				if i == 3 {
					panic("in a change")
				}
				_, err := tx.ExecContext(context.Background(), "insert into outputs (attempt, frames) values (?, 'x')", -1-i)
				return err
			})
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				kept = append(kept, i)
			}
		})
	}
	l.Together(t.Context(), changes...)
	if panics != 1 || len(kept) > 0 {
		t.Errorf("got %d panics, and changes %v were acknowledged", panics, kept)
	}
	runs(t, l, ledger.ID{Key: "later"}, "later", nil, success)
	var n int
	must(t, l.db.QueryRow("select count(*) from outputs where attempt < 0").Scan(&n))
	if n > 0 {
		t.Errorf("%d changes of the transaction were kept", n)
	}
}

// TestFullDiskInAGroup checks that a disk without room for a group loses outputs, but no
// outcome.
func TestFullDiskInAGroup(t *testing.T) {
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "mode=700,size=1500k", "tmpfs", disk).CombinedOutput(); err != nil {
		t.Skipf("a tmpfs cannot be mounted: %s", out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", disk).Run() })
	l := opened(t, filepath.Join(disk, "ledger"))
	defer l.Sustain()()
	const n = 32
	ids, xs := begun(t, l, n, 30<<10)
	fill(t, disk, 200<<10)
	errs := make([]error, n)
	var changes []func(context.Context)
	for i, x := range xs {
		changes = append(changes, func(context.Context) { _, errs[i] = x.Finish(t.Context(), success) })
	}
	l.Together(t.Context(), changes...)
	whole := 0
	for i, id := range ids {
		rec, err := l.Get(t.Context(), id)
		must(t, err)
		if errs[i] != nil || rec.Current.State != ledger.Succeeded {
			t.Errorf("outcome %d: got error %v, state %s", i, errs[i], rec.Current.State)
		}
		if !rec.Current.Truncated {
			whole++
		}
	}
	if whole == n {
		t.Error("all outputs fit, so nothing was tested")
	}
	must(t, os.Remove(filepath.Join(disk, "filler")))
	runs(t, l, ledger.ID{Key: "later"}, "later", make([]byte, 30<<10), success)
}

// fill leaves about free bytes on a disk.
func fill(t testing.TB, disk string, free int) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "filler"))
	must(t, err)
	defer f.Close()
	size := 0
	for page := make([]byte, 4096); err == nil; size += len(page) {
		_, err = f.Write(page)
	}
	must(t, f.Truncate(int64(max(size-4096-free, 0))))
}

// TestKilledAmongGroups kills a process that makes changes together, again and again. All
// that it has acknowledged is kept, and all that it has begun is known.
func TestKilledAmongGroups(t *testing.T) {
	const mark = "SQLITE_TEST_PLACE"
	if place := os.Getenv(mark); place != "" {
		acknowledge(t, place)
	}
	place := fresh(t)
	for round := range 3 {
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		c.Env = append(os.Environ(), mark+"="+place, fmt.Sprint("ROUND=", round))
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		last := map[string]string{}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == 100+37*round {
				must(t, c.Process.Kill())
			}
			if key, state, ok := strings.Cut(lines.Text(), "\t"); ok {
				last[key] = state
			}
		}
		_ = c.Wait()
		l := opened(t, place)
		for key, state := range last {
			rec, err := l.Get(t.Context(), ledger.ID{Key: key})
			must(t, err)
			if got := string(rec.Current.State); got != state && got != string(ledger.Succeeded) {
				t.Errorf("key %q: got state %q, want %q, as acknowledged", key, got, state)
			}
		}
		must(t, l.Close())
		integrity(t, place)
	}
}

// acknowledge changes keys until the process is killed, and prints each change that was
// acknowledged.
func acknowledge(t *testing.T, place string) {
	l := opened(t, place)
	l.Sustain()
	var mu sync.Mutex
	say := func(key string, state ledger.State) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Printf("%s\t%s\n", key, state)
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			var x ledger.Execution
			var running string
			for i := 0; ; i++ {
				before, key := running, fmt.Sprint(os.Getenv("ROUND"), "/", worker, "/", i)
				var next ledger.Execution
				l.Together(t.Context(), func(context.Context) {
					if x == nil {
						return
					}
					if _, err := x.Finish(context.Background(), success); err == nil {
						say(before, ledger.Succeeded)
					}
				}, func(context.Context) {
					c, err := l.Claim(context.Background(), ledger.ID{Key: key})
					if err != nil {
						panic(err)
					}
					if next, err = c.Begin(context.Background(), ledger.Start{RunID: "run " + key, MaxOutput: -1}); err != nil {
						panic(err)
					}
					next.(ledger.Inheriting).Descriptors() // as the start of a command
					say(key, ledger.Running)
				})
				x, running = next, key
			}
		})
	}
	all.Wait()
}
