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

// Trials runs the trials of one part until one breaks a promise, and adds up their
// figures.
type Trials[Counts any] struct {
	*Lab
	sum func(to, more *Counts)

	mu     sync.Mutex
	Counts map[string]*Counts // by kind
	done   int
	Err    error // the first broken promise
	begin  time.Time
}

// NewTrials returns an empty Trials. The function sum adds more to to.
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

// Total is a figure: a count summed up over all kinds of trials.
type Total struct {
	Name string
	N    int
}

// Report prints the figures and returns the broken promise, if any. The figures are:
//   - the counts of each kind, in the given order, as their method String formats them
//   - the totals of all kinds
//   - under the name promise, the number of broken promises, which is at most one
//   - the duration
func (t *Trials[Counts]) Report(kinds []string, totals func(all *Counts) []Total, promise string) error {
	var all Counts
	for _, kind := range kinds {
		if c := t.Counts[kind]; c != nil {
			t.Figures.Add(kind, "%v", c)
			t.sum(&all, c)
		}
	}
	for _, total := range totals(&all) {
		t.Figures.Count(total.Name, total.N)
	}
	broken := 0
	if t.Err != nil {
		broken = 1
	}
	t.Figures.Count(promise, broken)
	t.Figures.Add("seconds", "%.1f", time.Since(t.begin).Seconds())
	t.Figures.Print(os.Stdout)
	return t.Err
}
