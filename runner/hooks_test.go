package runner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
)

// hooked adds a hook for every event. The hook appends a line about the attempt, as
// Report saw it, to the file events.
func (k *kit) hooked(c testCall) testCall {
	c.Hooks.Limit, c.Hooks.KillAfter = time.Minute, time.Minute
	c.Hooks.Output = os.Stderr
	for _, e := range Events() {
		c.Hooks.List = append(c.Hooks.List, Hook{[]Event{e}, "cat >>" + k.path("events")})
	}
	c.Hooks.Report = func(e Event, _ Call, res Result, err error) ([]string, []byte) {
		return nil, fmt.Appendf(nil, "%s %d %s\n", e, res.Record.Current.Number, res.Record.Phase())
	}
	return c
}

// events returns the lines that hooks have written since the last call of events.
func (k *kit) events() string {
	k.Helper()
	b, _ := os.ReadFile(k.path("events"))
	_ = os.Remove(k.path("events"))
	return strings.ReplaceAll(strings.TrimSuffix(string(b), "\n"), "\n", ", ")
}

func TestHooksOfCalls(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		before     func(k *kit)
		call       func(k *kit) testCall
	}{
		{"success", "start 1 running, success 1 succeeded", nil, (*kit).job},
		{"failure", "start 1 running, failure 1 failed", func(k *kit) { k.write("exit", "3") }, (*kit).job},
		{"signal", "start 1 running, failure 1 failed", nil, func(k *kit) testCall { return k.shell("kill -KILL $$") }},
		{"--ok", "start 1 running, success 1 succeeded", nil, func(k *kit) testCall {
			c := k.failing(24)
			c.OK = codes(k.T, "24")
			return c
		}},
		{"timeout", "start 1 running, timeout 1 failed", nil, func(k *kit) testCall {
			c := k.shell("exec sleep 600")
			c.Limits.Timeout = soon(k.T)
			return c
		}},
		{"retries", "start 1 running, start 2 running, start 3 running, failure 3 failed", nil, func(k *kit) testCall {
			c := k.failing(3, 4, 5)
			c.Retries.N = 2
			return c
		}},
		{"retries with success", "start 1 running, start 2 running, success 2 succeeded", nil, func(k *kit) testCall {
			c := k.failing(3, 0)
			c.Retries.N = 2
			return c
		}},
		{"retry that cannot start", "start 1 running, start 2 running, failure 1 failed", nil, func(k *kit) testCall {
			k.write("once", "#!/bin/sh\nrm -f \"$0\"\nexit 3\n")
			must(k.T, os.Chmod(k.path("once"), 0o700))
			c := k.call(k.path("once"))
			c.Retries.N = 2
			return c
		}},
		{"replay", "replay 1 succeeded", func(k *kit) { k.first(k.job()) }, (*kit).job},
		{"quiet replay", "replay 1 succeeded", func(k *kit) { k.first(k.job()) }, func(k *kit) testCall {
			c := k.job()
			c.Output.Quiet = true
			return c
		}},
		{"replay of a failure", "replay 1 failed", func(k *kit) { k.write("exit", "3"); k.first(k.job()) }, func(k *kit) testCall {
			c := k.job()
			c.Policy.OnFailure = ChoiceReplay
			return c
		}},
		{"refusal of a failure", "refused 1 failed", func(k *kit) { k.write("exit", "3"); k.first(k.job()) }, func(k *kit) testCall {
			c := k.job()
			c.Policy.OnFailure = ChoiceRefuse
			return c
		}},
		{"mismatch", "mismatch 1 succeeded", func(k *kit) { k.first(k.call("true")) }, (*kit).job},
		{"not found", "failure 0 none", nil, func(k *kit) testCall { return k.call("no-such-command") }},
		{"not startable", "start 1 running, failure 0 none", nil, func(k *kit) testCall {
			k.write("bad", "#!/no/such/interpreter\n")
			must(k.T, os.Chmod(k.path("bad"), 0o700))
			return k.call(k.path("bad"))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t)
			if test.before != nil {
				test.before(k)
			}
			c := k.hooked(test.call(k))
			all := strings.Fields(test.want)
			c.end = Event(all[len(all)-3])
			o := k.first(c)
			if got := k.events(); got != test.want || o.HookFaults != nil || o.Fatal != 0 {
				t.Errorf("got %q, want %q; faults %+v, signal %v", got, test.want, o.HookFaults, o.Fatal)
			}
		})
	}
}

func TestHooksOfBusyAndInterrupted(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	l := k.mem.Open()
	result, goOn := k.started(l, "true")
	c := k.hooked(k.startedCall("true"))
	c.end = EventBusy
	o := k.first(c)
	k.want(o, Decision{ActionRefuse, ReasonBusy}, "", "")
	if got := k.events(); got != "busy 1 running" {
		t.Errorf("got %q", got)
	}
	k.mem.Crash(l)
	c.end = EventInterrupted
	o = k.first(c)
	k.want(o, Decision{ActionRefuse, ReasonInterrupted}, "", "")
	if got := k.events(); got != "interrupted 1 interrupted" {
		t.Errorf("got %q", got)
	}
	goOn()
	<-result
}

// The key is free while a hook runs, except for a start hook. The outcome that a hook
// gets is already recorded.
func TestKeyIsFreeForHooks(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	phases := map[Event]ledger.Phase{EventStart: ledger.PhaseRunning, EventFailure: ledger.PhaseFailed, EventReplay: ledger.PhaseFailed}
	check := func(c testCall, end Event) testCall {
		c = k.hooked(c)
		c.end = end
		c.Hooks.Report = func(e Event, _ Call, res Result, _ error) ([]string, []byte) {
			if r := k.record(); r.Phase() != phases[e] || r.Current.RunID != res.Record.Current.RunID {
				t.Errorf("%s: recorded is %+v", e, r)
			}
			claim, err := k.mem.Open().Claim(t.Context(), k.id)
			if (err != nil) != (e == EventStart) {
				t.Errorf("%s: a claim has error %v", e, err)
			}
			if err == nil {
				must(t, claim.Release())
			}
			delete(phases, e)
			return nil, nil
		}
		return c
	}
	k.write("exit", "3")
	k.first(check(k.job(), EventFailure))
	replay := k.job()
	replay.Policy.OnFailure = ChoiceReplay
	k.first(check(replay, EventReplay))
	if len(phases) > 0 {
		t.Errorf("there were no hooks for %v", phases)
	}
}

func TestHookOfAnUnrecordedOutcome(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		k := newKit(t)
		f := &ledgertest.Faulty{Ledger: k.mem.Open(), FailAt: n}
		c := k.hooked(k.job())
		c.end = EventUnrecorded
		o := k.run(f, c)
		if f.Calls()[n-1] != "Finish" {
			continue
		}
		if got := k.events(); o.Unrecorded == nil || !strings.HasPrefix(got, "start 1 running, unrecorded ") {
			t.Errorf("got %q, unrecorded %v", got, o.Unrecorded)
		}
		return
	}
}

func TestHooksRunInOrderAndFailAlone(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	out, err := os.CreateTemp(k.dir, "hooks")
	must(t, err)
	defer out.Close()
	c := k.job()
	c.end = EventSuccess
	c.Hooks = Hooks{
		Limit: time.Minute, KillAfter: time.Minute, Output: out,
		Report: func(e Event, _ Call, _ Result, _ error) ([]string, []byte) { return []string{"E=" + string(e)}, nil },
		List: []Hook{
			{[]Event{EventSuccess}, "echo 1 $E $AT; echo 1 >&2; exit 7"},
			{[]Event{EventStart}, "echo 0 $E; exit 8"},
			{[]Event{EventFailure}, "echo never"},
			{[]Event{EventSuccess}, "echo 2; kill -KILL $$"},
			{[]Event{EventFailure, EventSuccess, EventSuccess}, "sleep 0.1; echo 3; cat"}, // once
			{[]Event{EventSuccess}, "echo 4 ${HOME-without}"},
		},
	}
	c.Environ = func(a Attempt) []string {
		if a.Event != "" {
			return []string{"AT=" + a.Event}
		}
		return os.Environ()
	}
	o := k.first(c)
	k.want(o, Decision{ActionExecute, ReasonNeverRun}, jobOut, jobErr)
	b, err := os.ReadFile(out.Name())
	must(t, err)
	if want := "0 start\n1 success success\n1\n2\n3\n4 without\n"; string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
	want := []HookFault{
		{Event: EventStart, Number: 1, Status: proc.Status{ExitCode: 8}},
		{Event: EventSuccess, Number: 1, Status: proc.Status{ExitCode: 7}},
		{Event: EventSuccess, Number: 2, Status: proc.Status{ExitCode: 137, Signal: syscall.SIGKILL}},
	}
	if fmt.Sprint(o.HookFaults) != fmt.Sprint(want) {
		t.Errorf("got the faults %+v, want %+v", o.HookFaults, want)
	}
	if o.Record.Current.State != ledger.Succeeded || o.Status.ExitCode != 0 {
		t.Errorf("got %+v", o.Result)
	}
}

func TestHookThatHangsIsEnded(t *testing.T) {
	testkit.Slow(t, "hooks run into their time limit")
	t.Parallel()
	k := newKit(t)
	for _, test := range []struct {
		script string
		end    syscall.Signal
	}{
		{"exec sleep 600", syscall.SIGTERM},
		{"trap '' TERM; while :; do sleep 0.05; done", syscall.SIGKILL},
		{"trap 'exit 0' TERM; while :; do sleep 0.05; done", 0}, // stopped, so it failed in spite of its status
	} {
		c := k.hooked(k.job())
		c.Policy.Force = true
		c.Hooks.Limit, c.Hooks.KillAfter = time.Second, time.Second
		c.Hooks.List = []Hook{{[]Event{EventStart}, test.script}, {[]Event{EventStart}, "echo next >>" + k.path("events")}}
		o := k.first(c)
		if o.err != nil || o.out != jobOut || o.Record.Current.State != ledger.Succeeded {
			t.Errorf("%s: got %+v", test.script, o)
		}
		if f := o.HookFaults; len(f) != 1 || !f[0].Stopped || f[0].Status.Signal != test.end || f[0].Number != 1 || k.events() != "next" {
			t.Errorf("%s: got the faults %+v", test.script, f)
		}
	}
}

// The stdin of a hook may be longer than a pipe buffer, and the hook need not read it.
func TestStdinOfHooks(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	much := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for script, want := range map[string]string{
		"wc -c":                        "1048576\n",
		"sleep 0.2; wc -c":             "1048576\n",
		"head -c 3":                    "012",
		"exec <&-; echo closed":        "closed\n",
		"echo unread":                  "unread\n",
		"exec sleep 600 <&0 & echo $!": "", // keeps its stdin open after the hook has ended
	} {
		out, err := os.CreateTemp(k.dir, "hooks")
		must(t, err)
		c := k.job()
		c.Policy.Force, c.end = true, EventSuccess
		c.Hooks = Hooks{
			Limit: time.Minute, KillAfter: time.Minute, Output: out, List: []Hook{{[]Event{EventSuccess}, script}},
			Report: func(Event, Call, Result, error) ([]string, []byte) { return nil, much },
		}
		o := k.first(c)
		b, err := os.ReadFile(out.Name())
		must(t, err)
		must(t, out.Close())
		var pid int
		if _, err := fmt.Sscan(string(b), &pid); want == "" && err == nil {
			must(t, syscall.Kill(pid, syscall.SIGKILL))
			b = nil
		}
		if strings.TrimSpace(string(b)) != strings.TrimSpace(want) || o.HookFaults != nil {
			t.Errorf("%s: got %q, want %q; faults %+v", script, b, want, o.HookFaults)
		}
	}
}

func TestHookThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.hooked(k.job())
	c.end = EventSuccess
	c.Hooks.List = []Hook{{[]Event{EventSuccess}, strings.Repeat("x", 1<<20)}} // longer than an argument may be
	o := k.first(c)
	var start *proc.StartError
	if len(o.HookFaults) != 1 || !errors.As(o.HookFaults[0].Err, &start) || o.err != nil {
		t.Errorf("got %+v, error %v", o.HookFaults, o.err)
	}
}
