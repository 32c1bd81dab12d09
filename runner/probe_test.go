package runner

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
)

// leaveInterrupted leaves the key recorded as running by a call of job. No process holds
// it.
func (k *kit) leaveInterrupted() {
	k.Helper()
	l := k.mem.Open()
	c, err := l.Claim(k.Context(), k.id)
	must(k.T, err)
	job := k.job()
	_, err = c.Begin(k.Context(), ledger.Start{RunID: "before", Fingerprint: job.Inputs.Fingerprint, Inputs: job.Inputs.Encoded})
	must(k.T, err)
	k.mem.Crash(l)
}

// probed returns a call of job with a probe.
func (k *kit) probed(probe string) testCall {
	c := k.job()
	c.Policy.Probe, c.Probe.Command = true, "cd "+k.dir+"; "+probe
	return c
}

func TestProbe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		probe       string
		first       bool // the key never ran, and the probe is asked first
		change      func(*testCall)
		want        Decision
		out, errOut string
		attempts    int // in the history
	}{
		"done":             {probe: "echo answer; echo diag >&2", want: Decision{ActionReplay, ReasonProbed}, out: "answer\n", errOut: "diag\n", attempts: 2},
		"done, first":      {probe: "echo answer", first: true, want: Decision{ActionReplay, ReasonProbed}, out: "answer\n", attempts: 1},
		"not done":         {probe: "echo answer; exit 1", want: Decision{ActionExecute, ReasonInterrupted}, out: jobOut, errOut: jobErr, attempts: 2},
		"not done, first":  {probe: "exit 1", first: true, want: Decision{ActionExecute, ReasonNeverRun}, out: jobOut, errOut: jobErr, attempts: 1},
		"cannot tell":      {probe: "echo answer; exit 2", want: Decision{ActionRefuse, ReasonInterrupted}, attempts: 1},
		"cannot, first":    {probe: "exit 2", first: true, want: Decision{ActionRefuse, ReasonUndecided}},
		"killed":           {probe: "kill -9 $$", want: Decision{ActionRefuse, ReasonInterrupted}, attempts: 1},
		"too late":         {probe: "sleep 100", change: func(c *testCall) { c.Probe.Timeout = time.Millisecond }, want: Decision{ActionRefuse, ReasonInterrupted}, attempts: 1},
		"too late at once": {probe: "sleep 100", change: func(c *testCall) { c.Probe.Timeout = 1 }, want: Decision{ActionRefuse, ReasonInterrupted}, attempts: 1},
		"done, but forced": {probe: "true", change: func(c *testCall) { c.Policy.Force = true }, want: Decision{ActionExecute, ReasonForced}, out: jobOut, errOut: jobErr, attempts: 3},
		"not done, and had its attempts": {
			probe: "exit 1", change: func(c *testCall) { c.Policy.MaxAttempts = 1 }, want: Decision{ActionRefuse, ReasonExhausted}, attempts: 1,
		},
		"cannot tell, but may run": {
			probe: "exit 2", change: func(c *testCall) { c.Policy.OnInterrupted = ChoiceRerun }, want: Decision{ActionExecute, ReasonInterrupted}, out: jobOut, errOut: jobErr, attempts: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			if !test.first {
				k.leaveInterrupted()
			}
			c := k.probed("echo x >>asked; " + test.probe)
			c.Policy.ProbeFirst = test.first
			if test.change != nil {
				test.change(&c)
			}
			o := k.first(c)
			k.want(o, test.want, test.out, test.errOut)
			if b, _ := os.ReadFile(k.path("asked")); o.Probed == nil || string(b) != "x\n" && o.Probed.StoppedBy == proc.NotStopped {
				t.Errorf("asked %q, %+v", b, o.Probed)
			}
			as := k.attempts()
			if len(as) != test.attempts {
				t.Fatalf("got the history %+v", as)
			}
			if test.want.Reason == ReasonProbed {
				last := as[len(as)-1]
				if last.Reason != ledger.ReasonProbed || last.Fingerprint != c.Inputs.Fingerprint || string(last.Inputs) != string(c.Inputs.Encoded) || last.Owner != c.Owner() {
					t.Errorf("got %+v", last)
				}
				k.want(k.first(k.job()), Decision{ActionReplay, ReasonSucceeded}, test.out, "")
			}
			if ran := test.want.Action == ActionExecute; k.side() != map[bool]int{true: 1}[ran] {
				t.Errorf("the command ran %d times", k.side())
			}
		})
	}
}

// Each ledger call around a probe may fail. In every case the command does not run,
// the success is recorded or not, and the next call replays it.
func TestEveryLedgerCallMayFailAroundAProbe(t *testing.T) {
	t.Parallel()
	var all []string
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			k := newKit(t)
			k.leaveInterrupted()
			l := k.mem.Open()
			f := &ledgertest.Faulty{Ledger: l, FailAt: n, After: after}
			o := k.run(f, k.probed("echo answer"))
			if all = f.Calls(); len(all) < n {
				k.want(o, Decision{ActionReplay, ReasonProbed}, "answer\n", "")
				break
			}
			failed := all[n-1]
			if last := n == 7; last { // the second Release, which has nothing to release
				k.want(o, Decision{ActionReplay, ReasonProbed}, "answer\n", "")
			} else if !errors.Is(o.err, ledgertest.ErrFaulty) || o.out != "" {
				t.Errorf("%s: got %v, error %v, stdout %q", failed, o.Decision, o.err, o.out)
			}
			k.mem.Crash(l)
			recorded := failed == "Mark" && after || slices.Contains(all[:n-1], "Mark")
			if done := k.record().Phase() == ledger.PhaseSucceeded; done != recorded {
				t.Errorf("%s, after %t: the record is %s", failed, after, k.record().Phase())
			}
			if again := k.first(k.probed("echo answer")); again.err != nil || again.Action != ActionReplay || again.out != "answer\n" {
				t.Errorf("%s: then %+v", failed, again)
			}
			if k.side() != 0 {
				t.Errorf("%s: the command ran", failed)
			}
		}
	}
	if want := []string{"Get", "Claim", "Record", "Mark", "Release", "Output", "Release"}; !slices.Equal(all, want) {
		t.Errorf("a probe makes the calls %v, want %v", all, want)
	}
}

// If the output of a probe cannot be kept, no success is recorded without it.
func TestProbeWhoseOutputCannotBeKept(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.leaveInterrupted()
	full := errors.New("no room")
	for say, want := range map[string]error{"yes | head -c 100000": full, "yes | head -c 100000; exit 2": nil} {
		c := k.probed(say)
		c.Backlog = func() (proc.Backlog, error) { return nil, full }
		if o := k.first(c); !errors.Is(o.err, want) || o.out != "" {
			t.Errorf("%s: got %+v", say, o)
		}
		if phase := k.record().Phase(); phase != ledger.PhaseInterrupted {
			t.Errorf("%s: the key is %s", say, phase)
		}
	}
	c := k.probed("echo little")
	c.Backlog = func() (proc.Backlog, error) { return nil, full }
	k.want(k.first(c), Decision{ActionReplay, ReasonProbed}, "little\n", "")
}

// A probe that cannot be started counts as one that cannot tell.
func TestProbeThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.leaveInterrupted()
	c := k.probed(strings.Repeat("x", 200<<10)) // longer than an argument may be
	o := k.first(c)
	k.want(o, Decision{ActionRefuse, ReasonInterrupted}, "", "")
	if o.Probed == nil || o.Probed.NotStarted == nil {
		t.Errorf("got %+v", o.Probed)
	}
	c.Policy.OnInterrupted = ChoiceRerun
	k.want(k.first(c), Decision{ActionExecute, ReasonInterrupted}, jobOut, jobErr)
}

// The environment of a probe describes the attempt about which it is asked.
func TestProbeGetsTheAttempt(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.leaveInterrupted()
	c := k.probed("echo $ATTEMPT $RUN $GENERATION; cat; test ! -t 0")
	if o := k.first(c); !strings.HasPrefix(o.out, "1 before 1\n") {
		t.Errorf("got %+v", o)
	}
}

// A capture returns all bytes written to it, below and above the size from which it
// uses a file.
func TestCaptureKeepsAll(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, inMemory, inMemory + 1, 5 * inMemory} {
		c := capture{newFile: func() (proc.Backlog, error) { return os.CreateTemp(t.TempDir(), "") }}
		var want []byte
		for i := 0; len(want) < size; i++ {
			p := bytes.Repeat([]byte{byte(i)}, min(1000, size-len(want)))
			want = append(want, p...)
			c.write(p)
		}
		if got, err := io.ReadAll(c.reader()); err != nil || c.err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d different ones, errors %v, %v", size, len(got), err, c.err)
		}
		if (c.file != nil) != (size > inMemory) {
			t.Errorf("%d bytes: in a file %t", size, c.file != nil)
		}
		c.close()
	}
}
