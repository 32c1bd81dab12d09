// Package steps is the part "steps" of chaos. It kills idem at each failpoint at
// which the ledger is in another state than before, in all kinds of calls, and
// checks the answers of the next callers.
//
//	go run ./test/chaos steps
//
// The printed table has, for each point, how many commands the killed call had
// started and what the next caller finds. It is the source of the table in
// docs/ARCHITECTURE.md. The figure "scenes" counts the scenarios.
package steps

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"idem/test/chaos/lab"
	"idem/test/internal/rig"
)

// expectation is the state that the next callers must find after a kill.
type expectation struct {
	text   string
	codes  []int // exit statuses of the next calls
	runs   int   // number of commands that they start
	silent bool  // a success without output, because the key was marked
	races  bool  // the number of commands depends on the order in which items come
}

// The expectations. They are the rows of the table "killed" in docs/ARCHITECTURE.md.
var (
	findsNothing     = expectation{text: "nothing happened: runs", codes: []int{0, 0}, runs: 1}
	findsRunning     = expectation{text: "alive: 75, after its end interrupted: 79", codes: []int{lab.ExitBusy, lab.ExitInterrupted}}
	findsInterrupted = expectation{text: "interrupted: 79", codes: []int{lab.ExitInterrupted, lab.ExitInterrupted}}
	findsSuccess     = expectation{text: "done: replays", codes: []int{0, 0}}
	findsFailure     = expectation{text: "failed: runs again", codes: []int{lab.ActFails}, runs: 1}
	findsMarkFailed  = expectation{text: "marked failed: runs again", codes: []int{0, 0}, runs: 1}
	findsMark        = expectation{text: "marked done: replays nothing", codes: []int{0, 0}, silent: true}
	findsBareSuccess = expectation{text: "done: replays the status", codes: []int{0, 0}, silent: true}

	findsNoItem          = expectation{text: "nothing happened: all items run", codes: []int{0, 0}, runs: 3}
	findsItemInterrupted = expectation{text: "the item interrupted, the rest runs: 79", codes: []int{lab.ExitInterrupted, lab.ExitInterrupted}, runs: 2}
	findsItemDone        = expectation{text: "the item done, the rest runs", codes: []int{0, 0}, runs: 2}
	findsOneInterrupted  = expectation{text: "one or more items interrupted, the rest runs: 79", codes: []int{lab.ExitInterrupted, lab.ExitInterrupted}, races: true}
	findsMixture         = expectation{text: "no item runs twice", codes: []int{anyCode, anyCode}, races: true}
	findsNoStep          = expectation{text: "nothing happened: all steps run", codes: []int{0, 0}, runs: 2}
	findsStepInterrupted = expectation{text: "the step interrupted, the script ends: 79", codes: []int{lab.ExitInterrupted, lab.ExitInterrupted}}
	findsStepDone        = expectation{text: "the step done, the rest runs", codes: []int{0, 0}, runs: 1}
)

// largeOutput is more output than idem keeps in memory.
const largeOutput = 100_000

// step is one point at which idem is killed.
type step struct {
	point  string // value of IDEM_FAILPOINT
	when   string
	ran    int // number of commands that the killed call had started
	expect expectation
}

// scenario is a call that is killed at each of its steps.
type scenario struct {
	name   string
	job    lab.Job
	fresh  bool                  // the ledger does not exist yet
	holds  bool                  // the command runs until its hold file is removed
	mutex  bool                  // all runs have a mutex, which is free for another key at the end
	before func(s *trial)        // earlier calls of the key
	flags  []string              // flags of the killed call, if it is a run
	always []string              // flags of all runs
	args   func(*trial) []string // arguments of the killed call, if it is not a run
	after  func(s *trial)        // changes before the next call
	steps  []step

	parts []string // items or steps, each with a journal
	ends  int      // status of the killed call, 0 for its death of SIGKILL
	// asks, if not nil, makes a call for the key that is not a plain run. All callers do.
	asks func(s *trial, env []string) lab.Call
}

// trial is one kill.
type trial struct {
	*lab.Harness
	scenario  scenario
	step      step
	job       lab.Job
	calls     int
	ranBefore []int         // commands that ran before the call that is killed, see ran
	holder    chan lab.Call // the end of a call that holds the mutex of the trial
}

// runJob makes the next call of idem run for the job.
func (s *trial) runJob(flags []string, env ...string) lab.Call {
	s.calls++
	if s.scenario.asks != nil {
		return s.scenario.asks(s, env)
	}
	flags = append(slices.Clone(s.scenario.always), flags...)
	if s.scenario.mutex {
		flags = append(flags, "--mutex", s.job.Key)
	}
	return s.Run(s.job, s.calls, flags, env...)
}

// runKilledAt calls idem run, which is killed at a failpoint.
func (s *trial) runKilledAt(point string, flags ...string) lab.Call {
	return s.runJob(flags, "IDEM_FAILPOINT="+point)
}

// The promises, as the figures name them.
const (
	noKill  = "points that were not reached"
	noTable = "next callers who found something else"
)

// Run kills idem at each step of each scenario, several times, and checks the next
// calls.
func Run(l *lab.Lab) error {
	times := 50
	if l.Quick {
		times = 1
	}
	d, err := l.NewHarness("steps")
	if err != nil {
		return err
	}
	if d.Idem, err = rig.Build(".", filepath.Join(l.Dir, "idem"), "-tags", "failpoint"); err != nil {
		return err
	}
	points, kills := 0, 0
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, sc := range all() {
		var group sync.WaitGroup
		slots := make(chan struct{}, l.Parallel)
		here := &lab.Harness{Lab: l, Idem: d.Idem, Dir: d.Dir, Ledger: filepath.Join(l.Dir, fmt.Sprint("ledger", i))}
		for j, st := range sc.steps {
			for n := range times {
				s := &trial{Harness: here, scenario: sc, step: st, job: sc.job}
				s.job.Key = fmt.Sprintf("s%d:p%d:n%d", i, j, n)
				if sc.fresh {
					s.Harness = &lab.Harness{Lab: l, Idem: d.Idem, Dir: d.Dir, Ledger: here.Ledger + "." + s.job.Key}
				}
				slots <- struct{}{}
				group.Go(func() {
					s.run()
					if sc.fresh {
						s.Close()
						d.Add(s.Faults)
					}
					<-slots
				})
				kills++
			}
			points++
			fmt.Fprintf(table, "  %s\t%s\t%s\tran %d\t%s\n", sc.name, st.when, st.point, st.ran, st.expect.text)
		}
		group.Wait()
		if !sc.fresh {
			here.Close()
			d.Add(here.Faults)
		}
	}
	_ = table.Flush() // the only error is of stdout
	l.Figures.Count("scenes", len(all()))
	l.Figures.Count("points", points)
	l.Figures.Count("kills", kills)
	return d.Report(os.Stdout, noKill, noTable, lab.NoBroken)
}

// run makes one kill and the calls before and after it.
func (s *trial) run() {
	if s.scenario.holds {
		s.job.Hold = filepath.Join(s.Dir, s.job.Key+".hold")
		lab.Must(os.WriteFile(s.job.Hold, nil, 0o600))
	}
	if s.scenario.before != nil {
		s.scenario.before(s)
	}
	s.ranBefore = s.ran()
	var c lab.Call
	if s.scenario.args == nil {
		c = s.runKilledAt(s.step.point, s.scenario.flags...)
	} else {
		s.calls++
		c = s.Call(s.job.Key, s.calls, s.scenario.args(s), "IDEM_FAILPOINT="+s.step.point)
	}
	if ends := s.scenario.ends; c.Code != -lab.SigKill && (ends == 0 || c.Code != ends) {
		s.Fail(noKill, s.job.Key, "%s, %s: status %d: %s", s.scenario.name, s.step.point, c.Code, c.Stderr())
	}
	s.compareReceipts()
	if s.scenario.after != nil {
		s.scenario.after(s)
	}
	if s.scenario.parts != nil {
		s.awaitEnd(c)
	}
	s.checkNextCalls()
}

// checkNextCalls makes the next calls and compares their answers with the table.
func (s *trial) checkNextCalls() {
	complain := func(format string, args ...any) {
		s.Fail(noTable, s.job.Key, "%s, killed at %s: %s", s.scenario.name, s.step.point, fmt.Sprintf(format, args...))
	}
	var flags []string
	for i, want := range s.step.expect.codes {
		c := s.runJob(flags)
		if c.Code != want && (want != anyCode || !s.fits(c.Code)) {
			complain("next call %d: status %d, want %d: %s", i+1, c.Code, want, c.Stderr())
		}
		if s.scenario.parts == nil {
			s.checkReply(c, want, func(got, want int) { complain("next call %d: %d bytes of output, want %d", i+1, got, want) })
		}
		if want == lab.ExitBusy {
			lab.Must(os.Remove(s.job.Hold))
			flags = []string{"--wait"} // until it has ended
		}
	}
	if s.scenario.mutex {
		other := lab.Job{Key: s.job.Key + ":other"}
		if c := s.Run(other, 1, []string{"--mutex", s.job.Key}); c.Code != 0 {
			complain("a call of another key with the mutex: status %d: %s", c.Code, c.Stderr())
		}
	}
	s.checkRuns(complain)
}

// checkReply compares the output of a next call with the table.
func (s *trial) checkReply(c lab.Call, code int, complain func(got, want int)) {
	reply := ""
	if code != lab.ExitInterrupted && code != lab.ExitBusy && !s.step.expect.silent {
		reply = string(lab.CommandOutput(s.job.Key, s.job.Output))
	}
	if got := c.Stdout(); got != reply {
		complain(len(got), len(reply))
	}
}

// brokenProgram cannot be started. mendedProgram runs its arguments.
const (
	brokenProgram = "#!/nonexistent/interpreter\n"
	mendedProgram = "#!/bin/sh\nexec \"$@\"\n"
)

func (s *trial) writeProgram(text string) {
	path := filepath.Join(s.Dir, strings.ReplaceAll(s.job.Key, ":", "-")+".program")
	lab.Must(os.WriteFile(path, []byte(text), 0o700))
	s.job.Interpreter = path
}
