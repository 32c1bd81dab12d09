package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"idem/scripts/internal/rig"
)

// oneKey: one execution, and everybody gets what it wrote.
func oneKey(l *load) error {
	effects := filepath.Join(l.dir, "effects")
	const script = `echo "run $IDEM_RUN_ID" >>"$0"; sleep 0.05; echo "done by $$"`
	c, err := l.together("callers", l.callers, l.ledger("ledger"), func(int) []string {
		return []string{l.idem, "run", "--key", "load:one", "--wait", "--", "sh", "-c", script, effects}
	})
	if err != nil {
		return err
	}
	executions := len(lines(effects))
	l.Add("callers", "%d", l.callers)
	l.Add("executions", "%d", executions)
	l.Add("times", "%s", c.figures())
	if err := l.besideFlock(c, func(int) string { return "flock" }, "true"); err != nil {
		return err
	}
	if err := c.failed(); err != nil {
		return err
	}
	if executions != 1 {
		return fmt.Errorf("%d executions", executions)
	}
	return c.alike()
}

// besideFlock shows the time beside that of as many calls of flock, each with
// the file and the command that a caller has.
func (l *load) besideFlock(c *crowd, file func(i int) string, command ...string) error {
	if _, err := exec.LookPath("flock"); err != nil {
		l.Add("beside flock", "not known: there is no flock here")
		return nil
	}
	f, err := l.together("flocks", l.callers, nil, func(i int) []string {
		return append([]string{"flock", filepath.Join(l.dir, file(i))}, command...)
	})
	if err != nil {
		return err
	}
	l.Add("all together", "%.2f s, %.2f times that of flock FILE %s", c.took.Seconds(), c.took.Seconds()/f.took.Seconds(), command[0])
	return f.failed()
}

// alike complains unless all wrote the same, and something.
func (c *crowd) alike() error {
	var first []byte
	for i, me := range c.callers {
		b, err := os.ReadFile(me.stdout)
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

// manyKeys: every key is executed once.
func manyKeys(l *load) error {
	effects := filepath.Join(l.dir, "effects")
	const script = `echo "key $IDEM_KEY" >>"$0"`
	c, err := l.together("callers", l.callers, l.ledger("ledger"), func(i int) []string {
		return []string{l.idem, "run", "--key", fmt.Sprintf("load:%04d", i), "--", "sh", "-c", script, effects}
	})
	if err != nil {
		return err
	}
	bare, err := l.together("bare", l.callers, nil, func(int) []string { return []string{l.self, "nothing"} })
	if err != nil {
		return err
	}
	all := lines(effects)
	distinct := map[string]bool{}
	for _, key := range all {
		distinct[key] = true
	}
	l.Add("callers and keys", "%d", l.callers)
	l.Add("executions", "%d, of %d keys", len(all), len(distinct))
	l.Add("times", "%s", c.figures())
	l.Add("rate", "%.0f/s, %.2f times that of a Go program that does nothing", float64(l.callers)/c.took.Seconds(), bare.took.Seconds()/c.took.Seconds())
	beside := filepath.Join(l.dir, "flock-effects")
	if err := l.besideFlock(c, func(i int) string { return fmt.Sprintf("flock%04d", i) }, "sh", "-c", script, beside); err != nil {
		return err
	}
	if err := c.failed(); err != nil {
		return err
	}
	if len(all) != l.callers || len(distinct) != l.callers {
		return fmt.Errorf("%d executions of %d keys for %d callers", len(all), len(distinct), l.callers)
	}
	return l.listed("ledger", l.callers)
}

// fresh: whoever comes first makes the ledger, and nobody notices.
func fresh(l *load) error {
	n := max(l.callers*2/5, 1)
	l.Add("callers", "%d in each of %d rounds", n, l.rounds)
	for round := range l.rounds {
		name := fmt.Sprintf("ledger%d", round)
		c, err := l.together(fmt.Sprintf("callers%d", round), n, l.ledger(name), func(i int) []string {
			return []string{l.idem, "run", "--key", fmt.Sprintf("load:%04d", i), "--", "true"}
		})
		if err != nil {
			return err
		}
		l.Add(fmt.Sprintf("round %d", round+1), "%s", c.figures())
		if err = c.failed(); err == nil {
			err = l.listed(name, n)
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	l.Add("errors", "0")
	return nil
}

func (l *load) ledger(name string) []string {
	return []string{"IDEM_LEDGER=" + filepath.Join(l.dir, name)}
}

// listed complains unless idem list shows n keys that succeeded.
func (l *load) listed(ledger string, n int) error {
	c := exec.Command(l.idem, "list", "--state", "succeeded")
	c.Env = rig.Environ(l.ledger(ledger)...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("idem list: %w", err)
	}
	if got := bytes.Count(out, []byte("\n")); got != n {
		return fmt.Errorf("idem list has %d keys that succeeded, not %d", got, n)
	}
	return nil
}

func lines(path string) []string {
	b, _ := os.ReadFile(path) // nobody may have written it
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' })
}
