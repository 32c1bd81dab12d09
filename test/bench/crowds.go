package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"idem/test/internal/rig"
)

// crowdRace is a command that many callers run at once, in rounds.
type crowdRace struct {
	name, op string
	command  func(i int) []string
	env      []string
	check    func() error // after each round, if not nil
	rounds   []*rig.Crowd
}

// raceCrowds starts many calls at once, in rounds. It measures the racers that are
// light enough, and each idem with one key for all callers and a command that takes 50 ms.
func (b *bench) raceCrowds(racers []*racer) ([]*crowdRace, error) {
	var all []*crowdRace
	for _, r := range racers {
		if !r.crowd {
			continue
		}
		all = append(all, &crowdRace{name: r.name, op: r.op, env: r.env, command: func(int) []string {
			c, _ := r.repeat()
			return c.argv
		}})
		if isIdem(r.name) && r.op == first {
			all = append(all, b.oneKey(r.job))
		}
	}
	for round := range b.crowdRounds {
		for _, i := range rand.Perm(len(all)) {
			t := all[i]
			dir := filepath.Join(b.dir, fmt.Sprintf("crowd%d.%d", round, i))
			c, err := rig.Together([]string{b.self, "gate"}, dir, b.callers, t.env, t.command)
			if err == nil {
				err = c.Failed()
			}
			if err == nil && t.check != nil {
				err = t.check()
			}
			if err != nil {
				return nil, fmt.Errorf("%d of %s at once, %s: %w", b.callers, t.name, t.op, err)
			}
			t.rounds = append(t.rounds, c)
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// oneKey returns the race of idem with one key for all callers of a round. The command
// appends a line to a file. Each round must add one line.
func (b *bench) oneKey(j *job) *crowdRace {
	effects := j.file("effects")
	round := 0
	return &crowdRace{
		name: j.name, op: one, env: j.env,
		command: func(int) []string {
			return []string{j.program, "run", "--key", fmt.Sprint("bench:one:", round), "--wait", "--", "/bin/sh", "-c", `echo done >>"$0"; sleep 0.05`, effects}
		},
		check: func() error {
			round++
			got, err := os.ReadFile(effects)
			if n := bytes.Count(got, []byte("\n")); err == nil && n != round {
				err = fmt.Errorf("%d executions in %d rounds", n, round)
			}
			return err
		},
	}
}

// sum returns the medians of the rounds.
func (t *crowdRace) sum(callers int) crowd {
	c := crowd{Name: t.name, Op: t.op, Callers: callers, Rounds: len(t.rounds)}
	c.Total = t.median(func(c *rig.Crowd) float64 { return us(c.Took) })
	c.P50 = t.median(func(c *rig.Crowd) float64 { return us(c.Percentile(50)) })
	c.P99 = t.median(func(c *rig.Crowd) float64 { return us(c.Percentile(99)) })
	c.Rate = t.median(func(c *rig.Crowd) float64 { return float64(callers) / c.Took.Seconds() })
	return c
}

func (t *crowdRace) median(of func(*rig.Crowd) float64) float64 {
	var all []float64
	for _, c := range t.rounds {
		all = append(all, of(c))
	}
	return median(all)
}

// ratioTo returns the median of the ratios of the total times, round by round.
func (t *crowdRace) ratioTo(other *crowdRace) float64 {
	var all []float64
	for i, c := range t.rounds {
		all = append(all, c.Took.Seconds()/other.rounds[i].Took.Seconds())
	}
	return median(all)
}

func findCrowd(all []*crowdRace, name, op string) *crowdRace {
	i := slices.IndexFunc(all, func(t *crowdRace) bool { return t.name == name && t.op == op })
	if i < 0 {
		return nil
	}
	return all[i]
}
