package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"idem/test/internal/rig"
)

// finding is what the next caller finds after a kill.
type finding struct {
	words  string
	codes  []int // the exit statuses of the next calls, in turn
	runs   int   // how many commands those start
	silent bool  // a success has no output: it was marked, not run
}

// The findings. They are the rows of the table "killed" in docs/ARCHITECTURE.md.
var (
	isNew       = finding{words: "nothing happened: runs", codes: []int{0, 0}, runs: 1}
	isAlive     = finding{words: "alive: 75, after its end interrupted: 79", codes: []int{exitBusy, exitInterrupted}}
	isUnknown   = finding{words: "interrupted: 79", codes: []int{exitInterrupted, exitInterrupted}}
	isDone      = finding{words: "done: replays", codes: []int{0, 0}}
	isFailed    = finding{words: "failed: runs again", codes: []int{actFails}, runs: 1}
	isMarked    = finding{words: "marked done: replays nothing", codes: []int{0, 0}, silent: true}
	actFails    = 3
	largeOutput = 100_000 // more than waits in memory
)

// step is one point at which idem is killed.
type step struct {
	point string // as IDEM_FAILPOINT has it
	when  string
	ran   int // how many commands the killed call had started
	finds finding
}

// scene is a call that is killed on the way.
type scene struct {
	name   string
	order  order
	fresh  bool                 // on a ledger that is not there yet
	holds  bool                 // the command goes on until it is let go
	prior  func(s *staging)     // what has happened to the key before
	flags  []string             // of the killed call, if it is a run
	always []string             // flags of all runs
	args   func(order) []string // the killed call, if it is none
	after  func(s *staging)     // what changes before the next caller comes
	steps  []step
}

// staging is one kill.
type staging struct {
	*desk
	scene scene
	step  step
	order order
	calls int
	ran   int // commands that ran before the call that is killed
}

// next calls idem run once more for the order.
func (s *staging) next(flags []string, env ...string) call {
	s.calls++
	return s.run(s.order, s.calls, append(slices.Clone(s.scene.always), flags...), env...)
}

// killedAt calls idem run, which is killed at a point.
func (s *staging) killedAt(point string, flags ...string) call {
	return s.next(flags, "IDEM_FAILPOINT="+point)
}

const (
	noKill   = "points that were not reached"
	noTable  = "next callers who found something else"
	noBroken = "ledgers that are broken afterwards"
)

// stepsPart kills idem at each step of each scene, some times over, and looks at
// what the next callers find.
func stepsPart(l *lab) error {
	times := 50
	if l.quick {
		times = 1
	}
	d, err := l.desk("steps")
	if err != nil {
		return err
	}
	if d.idem, err = rig.Build(".", filepath.Join(l.dir, "idem"), "-tags", "failpoint"); err != nil {
		return err
	}
	points, kills := 0, 0
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, sc := range scenes {
		var group sync.WaitGroup
		slots := make(chan struct{}, l.parallel)
		here := &desk{lab: l, idem: d.idem, dir: d.dir, ledger: filepath.Join(l.dir, fmt.Sprint("ledger", i))}
		for j, st := range sc.steps {
			for n := range times {
				s := &staging{desk: here, scene: sc, step: st, order: sc.order}
				s.order.key = fmt.Sprintf("s%d:p%d:n%d", i, j, n)
				if sc.fresh {
					s.desk = &desk{lab: l, idem: d.idem, dir: d.dir, ledger: here.ledger + "." + s.order.key}
				}
				slots <- struct{}{}
				group.Go(func() {
					s.play()
					if sc.fresh {
						s.close()
						d.add(s.faults)
					}
					<-slots
				})
				kills++
			}
			points++
			fmt.Fprintf(table, "  %s\t%s\t%s\tran %d\t%s\n", sc.name, st.when, st.point, st.ran, st.finds.words)
		}
		group.Wait()
		if !sc.fresh {
			here.close()
			d.add(here.faults)
		}
	}
	_ = table.Flush() // stdout is what it reports for
	l.figures.Count("scenes", len(scenes))
	l.figures.Count("points", points)
	l.figures.Count("kills", kills)
	return d.verdict(os.Stdout, noKill, noTable, noBroken)
}

func (d *desk) add(faults []fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, faults...)
}

// close looks at the ledger once more as a whole.
func (d *desk) close() {
	if _, err := d.integrity(d.ledger); err != nil {
		d.complain(noBroken, d.ledger, "%v", err)
	}
}

// play makes one kill and the calls after it.
func (s *staging) play() {
	if s.scene.holds {
		s.order.hold = filepath.Join(s.dir, s.order.key+".hold")
		must(os.WriteFile(s.order.hold, nil, 0o600))
	}
	if s.scene.prior != nil {
		s.scene.prior(s)
	}
	s.ran = s.doings(s.order.key).all()
	var c call
	if s.scene.args == nil {
		c = s.killedAt(s.step.point, s.scene.flags...)
	} else {
		s.calls++
		c = s.call(s.order.key, s.calls, s.scene.args(s.order), "IDEM_FAILPOINT="+s.step.point)
	}
	if c.code != -9 {
		s.complain(noKill, s.order.key, "%s, %s: status %d: %s", s.scene.name, s.step.point, c.code, c.stderr())
	}
	if s.scene.after != nil {
		s.scene.after(s)
	}
	s.compare()
}

// compare lets the next callers come and holds what they find against the table.
func (s *staging) compare() {
	complain := func(format string, args ...any) {
		s.complain(noTable, s.order.key, "%s, killed at %s: %s", s.scene.name, s.step.point, fmt.Sprintf(format, args...))
	}
	var flags []string
	for i, want := range s.step.finds.codes {
		c := s.next(flags)
		if c.code != want {
			complain("next call %d: status %d, want %d: %s", i+1, c.code, want, c.stderr())
		}
		reply := ""
		if want != exitInterrupted && want != exitBusy && !s.step.finds.silent {
			reply = string(outputOf(s.order.key, s.order.bytes))
		}
		if got := c.stdout(); got != reply {
			complain("next call %d: %d bytes of output, want %d", i+1, len(got), len(reply))
		}
		if want == exitBusy {
			must(os.Remove(s.order.hold))
			flags = []string{"--wait"} // until it has ended
		}
	}
	if ran := s.doings(s.order.key).all() - s.ran; ran != s.step.ran+s.step.finds.runs {
		complain("the command ran %d times, want %d by the killed call and %d after it", ran, s.step.ran, s.step.finds.runs)
	}
}

// broken is a program that cannot be started, mended one that starts its
// arguments.
const (
	brokenProgram = "#!/nonexistent/interpreter\n"
	mendedProgram = "#!/bin/sh\nexec \"$@\"\n"
)

func (s *staging) program(text string) {
	path := filepath.Join(s.dir, strings.ReplaceAll(s.order.key, ":", "-")+".program")
	must(os.WriteFile(path, []byte(text), 0o700))
	s.order.via = path
}
