package lab

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Trials runs the trials of one part, until the first that breaks a promise, and
// adds up their figures.
type Trials[Counts any] struct {
	*Lab
	sum func(to, more *Counts)

	mu     sync.Mutex
	Counts map[string]*Counts // by kind
	done   int
	Err    error // the first broken promise
	begin  time.Time
}

// NewTrials returns an empty Trials. sum adds the counts of one trial to others.
func NewTrials[Counts any](l *Lab, sum func(to, more *Counts)) *Trials[Counts] {
	return &Trials[Counts]{Lab: l, sum: sum, Counts: map[string]*Counts{}}
}

// RunAll runs all jobs, as many at a time as there are processors.
func (t *Trials[Counts]) RunAll(jobs iter.Seq[func()]) {
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

// RunOne makes one trial in a separate directory, which remains if the trial fails. It
// returns false if no more trials are to follow.
func (t *Trials[Counts]) RunOne(name, kind string, trial func(dir string) (*Counts, []string, error)) bool {
	t.mu.Lock()
	over := t.Err != nil
	t.mu.Unlock()
	if over {
		return false
	}
	dir, err := os.MkdirTemp(t.Dir, "trial-")
	Must(err)
	counts, log, err := trial(dir)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	c := t.Counts[kind]
	if c == nil {
		c = new(Counts)
		t.Counts[kind] = c
	}
	t.sum(c, counts)
	switch {
	case err == nil:
		Must(os.RemoveAll(dir))
	case t.Err == nil:
		t.Err = fmt.Errorf("trial %s (--seed %d --trial '%s'), left in %s: %w\n%s", name, t.Seed, name, dir, err, strings.Join(log, "\n"))
	}
	return t.Err == nil
}

// Broken returns the number of broken promises, which is at most one.
func (t *Trials[Counts]) Broken() int {
	if t.Err != nil {
		return 1
	}
	return 0
}

// AddSeconds adds the duration to the figures.
func (t *Trials[Counts]) AddSeconds() {
	t.Figures.Add("seconds", "%.1f", time.Since(t.begin).Seconds())
}
