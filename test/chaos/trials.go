package main

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// trials are the many of one part, which end with the first that breaks a
// promise, and what came of them.
type trials[Counts any] struct {
	*lab
	sum func(to, more *Counts)

	mu     sync.Mutex
	counts map[string]*Counts // by kind
	done   int
	err    error // the first broken promise
	begin  time.Time
}

func newTrials[Counts any](l *lab, sum func(to, more *Counts)) *trials[Counts] {
	return &trials[Counts]{lab: l, sum: sum, counts: map[string]*Counts{}}
}

// all does all jobs, as many at a time as there are processors.
func (t *trials[Counts]) all(jobs iter.Seq[func()]) {
	t.begin = time.Now()
	queue := make(chan func())
	var group sync.WaitGroup
	for range runtime.NumCPU() {
		group.Go(func() {
			for job := range queue {
				job()
			}
		})
	}
	progress := time.NewTicker(time.Minute)
	defer progress.Stop()
	for job := range jobs {
		for queued := false; !queued; {
			select {
			case queue <- job:
				queued = true
			case <-progress.C:
				t.mu.Lock()
				fmt.Fprintf(os.Stderr, "%.0f s: %d trials\n", time.Since(t.begin).Seconds(), t.done)
				t.mu.Unlock()
			}
		}
	}
	close(queue)
	group.Wait()
}

// try makes one trial in a directory of its own, which stays if the trial
// fails. It returns false when there are to be no more.
func (t *trials[Counts]) try(name, kind string, trial func(dir string) (*Counts, []string, error)) bool {
	t.mu.Lock()
	over := t.err != nil
	t.mu.Unlock()
	if over {
		return false
	}
	dir, err := os.MkdirTemp(t.dir, "trial-")
	must(err)
	counts, log, err := trial(dir)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	c := t.counts[kind]
	if c == nil {
		c = new(Counts)
		t.counts[kind] = c
	}
	t.sum(c, counts)
	switch {
	case err == nil:
		must(os.RemoveAll(dir))
	case t.err == nil:
		t.err = fmt.Errorf("trial %s (--seed %d --trial '%s'), left in %s: %w\n%s", name, t.seed, name, dir, err, strings.Join(log, "\n"))
	}
	return t.err == nil
}

// broken is how many promises are, which is one at most.
func (t *trials[Counts]) broken() int {
	if t.err != nil {
		return 1
	}
	return 0
}

func (t *trials[Counts]) seconds() { t.figures.Add("seconds", "%.1f", time.Since(t.begin).Seconds()) }
