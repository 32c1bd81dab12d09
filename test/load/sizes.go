package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"idem/test/internal/rig"
)

// sizedLedger is a ledger with a number of keys.
type sizedLedger struct {
	keys   int
	ledger string
	times  map[string][]time.Duration // by the kind of call
}

// sizes measures calls on ledgers of several sizes. The calls alternate between the
// ledgers, so that other load of the machine affects all ledgers.
func sizes(l *load) error {
	memory, remove, err := l.memoryDir()
	if err != nil {
		return err
	}
	defer remove()
	var all []*sizedLedger
	begin := time.Now()
	for _, n := range slices.Compact([]int{1, max(l.keys/10, 1), l.keys}) {
		s := &sizedLedger{keys: n, ledger: fmt.Sprintf("ledger%d", n), times: map[string][]time.Duration{}}
		before := 0
		if len(all) > 0 {
			before = all[len(all)-1].keys
		}
		if err := l.grow(filepath.Join(memory, "ledger"), before, n, filepath.Join(l.dir, s.ledger)); err != nil {
			return err
		}
		all = append(all, s)
	}
	remove()
	l.Measure("seconds to make the ledgers", time.Since(begin).Seconds())

	for round := range l.pairs {
		for _, i := range rand.Perm(len(all)) {
			if err := all[i].calls(l, round); err != nil {
				return fmt.Errorf("%d keys: %w", all[i].keys, err)
			}
		}
	}
	for _, kind := range []string{"hit", "miss", "list --limit 50"} {
		for _, s := range all {
			median := slices.Sorted(slices.Values(s.times[kind]))
			l.Measure(fmt.Sprintf("%s at %d ms", kind, s.keys), percentile(median, 50).Seconds()*1000)
		}
		for _, s := range all[1:] {
			l.Measure(fmt.Sprintf("%s at %d / at 1", kind, s.keys), ratio(s.times[kind], all[0].times[kind]))
		}
	}
	for _, s := range all {
		begin := time.Now()
		if err := l.checkListed(s.ledger, s.keys+l.pairs); err != nil {
			return err
		}
		l.Measure(fmt.Sprintf("list of all at %d ms", s.keys), time.Since(begin).Seconds()*1000)
	}
	return l.checkLeft(all[len(all)-1].ledger, nil)
}

// ratio returns the median of the ratios, pair by pair.
func ratio(a, b []time.Duration) float64 {
	var all []float64
	for i := range a {
		all = append(all, float64(a[i])/float64(b[i]))
	}
	slices.Sort(all)
	return percentile(all, 50)
}

// calls makes one call of each kind and checks the output.
func (s *sizedLedger) calls(l *load, round int) error {
	hit := fmt.Sprintf("size:%d", rand.IntN(s.keys))
	out, err := s.call(l, "hit", "run", "--key", hit, "--", "true")
	if want := "output of " + hit + "\n"; err == nil && out != want {
		err = fmt.Errorf("the replay of %s is %q, not %q", hit, out, want)
	}
	if err != nil {
		return err
	}
	if _, err := s.call(l, "miss", "run", "--key", fmt.Sprintf("miss:%d", round), "--", "true"); err != nil {
		return err
	}
	out, err = s.call(l, "list --limit 50", "list", "--limit", "50")
	if n, want := bytes.Count([]byte(out), []byte("\n")), min(50, s.keys+round+1); err == nil && n != want {
		err = fmt.Errorf("idem list has %d lines, not %d", n, want)
	}
	return err
}

// call measures one call and returns its output. A message on stderr is an error, too.
func (s *sizedLedger) call(l *load, kind string, args ...string) (string, error) {
	var out, errs bytes.Buffer
	c := exec.Command(l.idem, args...)
	c.Env = rig.Environ(l.environ(s.ledger)...)
	c.Stdout, c.Stderr = &out, &errs
	begin := time.Now()
	err := c.Run()
	s.times[kind] = append(s.times[kind], time.Since(begin))
	if err != nil || errs.Len() > 0 {
		return "", fmt.Errorf("%s: %v: %s", kind, err, errs.String())
	}
	return out.String(), nil
}
