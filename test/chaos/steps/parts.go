package steps

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"idem/test/chaos/lab"
)

// anyCode is the status of a call that depends on the order in which items come. It is 0 if
// all items are done. It is ExitInterrupted if some are interrupted.
const anyCode = -2000

// each makes a call of idem each with the items of the scenario.
func each(jobs int) func(*trial, []string) lab.Call {
	return func(s *trial, env []string) lab.Call {
		list := filepath.Join(s.Dir, s.job.Key+".list")
		lab.Must(os.WriteFile(list, []byte(strings.Join(s.scenario.parts, "\n")+"\n"), 0o600))
		args := []string{"each", "--key", s.job.Key, "-j", fmt.Sprint(jobs), "--arg-file", list, "--"}
		return s.Call(s.job.Key, s.calls, append(args, s.CommandOf(s.partJob("{}"))...), env...)
	}
}

// script makes a call of idem run with a script of the steps of the scenario. The steps are
// killed, not the run.
func script(s *trial, env []string) lab.Call {
	var text strings.Builder
	for _, name := range s.scenario.parts {
		fmt.Fprintf(&text, "IDEM_FAILPOINT=$CHAOS_FAILPOINT '%s' step %s --", s.Idem, name)
		for _, arg := range s.CommandOf(s.partJob(name)) {
			fmt.Fprintf(&text, " '%s'", arg)
		}
		text.WriteString(" || exit\n")
	}
	var forSteps []string
	for _, v := range env {
		forSteps = append(forSteps, strings.Replace(v, "IDEM_FAILPOINT=", "CHAOS_FAILPOINT=", 1))
	}
	args := []string{"run", "--key", s.job.Key, "--resumable", "--", "sh", "-c", text.String()}
	return s.Call(s.job.Key, s.calls, args, forSteps...)
}

// partJob returns the job of an item or step. Its key only names its journal.
func (s *trial) partJob(name string) lab.Job {
	o := s.job
	o.Key += "." + name
	return o
}

// ran returns how many commands of the key ran, or of each of its parts.
func (s *trial) ran() []int {
	if s.scenario.parts == nil {
		return []int{s.Runs(s.job.Key).Total()}
	}
	var n []int
	for _, name := range s.scenario.parts {
		n = append(n, s.Runs(s.partJob(name).Key).Total())
	}
	return n
}

// awaitEnd waits for the commands that the killed call has left.
func (s *trial) awaitEnd(c lab.Call) {
	alive := func() bool {
		for _, p := range s.Scan() {
			if p.Call == c.ID {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(lab.ExitWithin); alive(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fail(noTable, s.job.Key, "%s: a command outlives the killed call", s.scenario.name)
			return
		}
	}
}

// fits reports whether a call may end with a status: 0 only if each part has run once.
func (s *trial) fits(code int) bool {
	for i, n := range s.ran() {
		if code == 0 && n-s.ranBefore[i] != 1 {
			return false
		}
	}
	return code == 0 || code == lab.ExitInterrupted
}

// checkRuns compares how many commands ran with the table.
func (s *trial) checkRuns(complain func(format string, args ...any)) {
	want, total := s.step.ran+s.step.expect.runs, 0
	for i, n := range s.ran() {
		n -= s.ranBefore[i]
		total += n
		if s.scenario.parts != nil && n > 1 {
			complain("the command of %s ran %d times", s.scenario.parts[i], n)
		}
	}
	if total < s.step.ran || !s.step.expect.races && total != want {
		complain("commands ran %d times, want %d by the killed call and %d after it", total, s.step.ran, s.step.expect.runs)
	}
}
