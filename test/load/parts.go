package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"idem/test/internal/rig"
)

// turns returns the number of measurements of a crowd and of its peers, which alternate.
func (l *load) turns() int {
	if l.quick {
		return 1
	}
	return 5
}

// oneKey checks that one caller executes the command and that all callers get its output.
// It compares the time with the same number of calls of flock for one file.
func oneKey(l *load) error {
	const script = `echo "run $IDEM_RUN_ID" >>"$0"; sleep 0.05; echo "done by $$"`
	var times []time.Duration
	var ratios []float64
	for turn := range l.turns() {
		name := func(s string) string { return fmt.Sprintf("%s%d", s, turn) }
		effects := filepath.Join(l.dir, name("effects"))
		c, err := l.together(name("callers"), l.callers, l.environ(name("ledger")), func(int) []string {
			return []string{l.idem, "run", "--key", "load:one", "--wait", "--", "sh", "-c", script, effects}
		})
		if err == nil {
			err = c.Failed()
		}
		if err != nil {
			return err
		}
		if n := len(lines(effects)); n != 1 {
			return fmt.Errorf("%d executions", n)
		}
		if err := checkSameOutput(c); err != nil {
			return err
		}
		times = append(times, durations(c)...)
		ratios, err = l.compare(ratios, c, name("flocks"), func(int) []string {
			return []string{"flock", filepath.Join(l.dir, name("flock")), "true"}
		})
		if err != nil {
			return err
		}
	}
	l.Count("turns", l.turns())
	l.Count("callers in each", l.callers)
	l.Count("executions in each", 1)
	l.addTimes(times)
	l.addMedian("all together / as many flock FILE true (demand: at most 1.3)", ratios)
	return l.checkLeft("ledger0", nil)
}

// compare appends the ratio of the time of a crowd to the time of its peers. It appends
// nothing if the program of the peers is not installed.
func (l *load) compare(ratios []float64, c *rig.Crowd, name string, peer func(i int) []string) ([]float64, error) {
	if _, err := exec.LookPath(peer(0)[0]); errors.Is(err, exec.ErrNotFound) {
		return ratios, nil
	}
	p, err := l.together(name, l.callers, nil, peer)
	if err == nil {
		err = p.Failed()
	}
	if err != nil {
		return nil, err
	}
	return append(ratios, c.Took.Seconds()/p.Took.Seconds()), nil
}

// addMedian adds the median of the values to the figures.
func (l *load) addMedian(name string, all []float64) {
	if len(all) == 0 {
		l.Add(name, "not known: the other program is not installed")
		return
	}
	slices.Sort(all)
	l.Measure(name, percentile(all, 50))
}

// checkSameOutput returns an error unless all callers wrote the same output. An empty
// output is an error, too.
func checkSameOutput(c *rig.Crowd) error {
	var first []byte
	for i, me := range c.Callers {
		b, err := os.ReadFile(me.Stdout)
		if err != nil {
			return err
		}
		if i == 0 {
			first = b
		}
		if len(b) == 0 || !bytes.Equal(b, first) {
			return fmt.Errorf("number %d got %q, number 0 %q", i, b, first)
		}
	}
	return nil
}

// manyKeys checks that the command of every key is executed once. It compares the time
// with the same number of minimal Go programs that run the command, and of calls of flock
// for distinct files.
func manyKeys(l *load) error {
	var times []time.Duration
	var spawns, flocks, spread []float64
	for turn := range l.turns() {
		name := func(s string) string { return fmt.Sprintf("%s%d", s, turn) }
		// The command is minimal and makes a file at each execution.
		command := func(dir string, i int) []string {
			return []string{"mktemp", filepath.Join(l.dir, name(dir), fmt.Sprintf("%04d.XXXXXX", i))}
		}
		for _, dir := range []string{"effects", "spawned", "flocked"} {
			if err := os.Mkdir(filepath.Join(l.dir, name(dir)), 0o700); err != nil {
				return err
			}
		}
		c, err := l.together(name("callers"), l.callers, l.environ(name("ledger")), func(i int) []string {
			return append([]string{l.idem, "run", "--key", fmt.Sprintf("load:%04d", i), "--"}, command("effects", i)...)
		})
		if err == nil {
			err = c.Failed()
		}
		if err == nil {
			err = checkExecutedOnce(filepath.Join(l.dir, name("effects")), l.callers)
		}
		if err == nil {
			err = l.checkListed(name("ledger"), l.callers)
		}
		if err != nil {
			return err
		}
		all := durations(c)
		slices.Sort(all)
		times, spread = append(times, all...), append(spread, float64(percentile(all, 99))/float64(percentile(all, 50)))
		if spawns, err = l.compare(spawns, c, name("spawns"), func(i int) []string {
			return append([]string{l.self, "spawn"}, command("spawned", i)...)
		}); err != nil {
			return err
		}
		if flocks, err = l.compare(flocks, c, name("flocks"), func(i int) []string {
			return append([]string{"flock", filepath.Join(l.dir, fmt.Sprintf("%s.%04d", name("flock"), i))}, command("flocked", i)...)
		}); err != nil {
			return err
		}
	}
	l.Count("turns", l.turns())
	l.Count("callers and keys in each", l.callers)
	l.Count("executions in each", l.callers)
	l.addTimes(times)
	l.addMedian("p99 / p50 of a turn (demand: at most 2)", spread)
	for i := range spawns {
		spawns[i] = 1 / spawns[i]
	}
	l.addMedian("rate / that of a bare Go spawn (demand: at least 0.3)", spawns)
	l.addMedian("all together / as many flock FILE COMMAND", flocks)
	return l.checkLeft("ledger0", nil)
}

// checkExecutedOnce returns an error unless there is one file for each of n callers.
func checkExecutedOnce(effects string, n int) error {
	entries, err := os.ReadDir(effects)
	keys := map[string]bool{}
	for _, e := range entries {
		key, _, _ := strings.Cut(e.Name(), ".")
		keys[key] = true
	}
	if err == nil && (len(entries) != n || len(keys) != n) {
		err = fmt.Errorf("%d executions of %d keys for %d callers", len(entries), len(keys), n)
	}
	return err
}

// fresh checks that callers can start while one of them makes the ledger.
func fresh(l *load) error {
	n := max(l.callers*2/5, 1)
	var times []time.Duration
	for round := range l.rounds {
		name := fmt.Sprintf("ledger%d", round)
		c, err := l.together(fmt.Sprintf("callers%d", round), n, l.environ(name), func(i int) []string {
			return []string{l.idem, "run", "--key", fmt.Sprintf("load:%04d", i), "--", "true"}
		})
		if err != nil {
			return err
		}
		if err = c.Failed(); err == nil {
			err = l.checkListed(name, n)
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
		times = append(times, durations(c)...)
	}
	l.Count("rounds", l.rounds)
	l.Count("callers in each", n)
	l.Count("executions", n*l.rounds)
	l.Count("errors", 0)
	l.addTimes(times)
	return l.checkLeft("ledger0", nil)
}
