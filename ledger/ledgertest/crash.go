package ledgertest

import (
	"fmt"
	"os"
	"syscall"

	"idem/ledger"
)

var crashCases = []testCase{
	{"CrashFreesClaims", crashFreesClaims, needsCrash},
	{"CrashIsInterrupted", crashIsInterrupted, needsCrash},
	{"CrashEndsWait", crashEndsWait, needsCrash},
	{"FinishedSurvivesCrash", finishedSurvivesCrash, needsCrash},
	{"LeftoversOfExit", leftoversOfExit, needsInherits},
	{"LeftoversOfSignal", leftoversOfSignal, needsInherits},
	{"LeftoversOfCrash", leftoversOfCrash, needsInherits},
	{"LeftoversWithoutDescriptors", leftoversWithoutDescriptors, needsLeave},
	{"LeftoversInside", leftoversInside, needsLeave},
	{"LeftoversOfAnEnd", leftoversOfAnEnd, needsLeave},
	{"LeftoversThatDoNotCount", leftoversThatDoNotCount, needsLeave},
}

func crashFreesClaims(k *kit) {
	id, other := key("k"), key("other")
	k.claim(k.a, id)
	c := k.claim(k.b, other)
	k.crash()
	k.claimFree(id)
	k.phase(id, ledger.PhaseNone)
	k.listed(ledger.Filter{})
	k.claimBusy(other) // its process is alive
	k.release(c)
}

func crashIsInterrupted(k *kit) {
	id := key("k")
	x := k.begin(k.claim(k.a, id))
	all := pieces(300 << 10)
	write(x, all)
	k.crash()
	k.phase(id, ledger.PhaseInterrupted)
	k.same(k.get(k.b, id).Current.RunID, x.Attempt().RunID, "current attempt after a crash")

	g := flatten(k.output(k.b, id, x.Attempt().RunID))
	w := flatten(all)
	if lost := len(w.bytes) - len(g.bytes); !w.has(g, 0) || lost > 64<<10 && !k.h.LateOutput {
		k.Errorf("of %d bytes written before a crash, %d are read", len(w.bytes), len(g.bytes))
	}
	a := k.run(k.b, id, success)
	k.same(a.Number, 2, "number of the attempt after a crash")
	k.same(k.attempts(k.a, id)[0].Reason, ledger.ReasonLost, "reason of the attempt before")
}

func crashEndsWait(k *kit) {
	id := key("k")
	k.begin(k.claim(k.a, id))
	done := make(chan error, 1)
	go func() { done <- k.b.Wait(k.ctx, id) }()
	k.stillWaiting(done, "the command runs")
	k.crash()
	k.ok(k.answer(done), "Wait")
	k.claimFree(id)
}

// finishedSurvivesCrash: an acknowledged outcome is durable, with or without Release.
func finishedSurvivesCrash(k *kit) {
	id := key("k")
	x := k.begin(k.claim(k.a, id))
	write(x, pieces(100<<10))
	done := k.finish(x, success)
	k.crash()
	k.phase(id, ledger.PhaseSucceeded)
	k.same(k.get(k.b, id).Current, done, "current attempt after a crash")
	k.exactly(id, done, pieces(100<<10))
	k.claimFree(id)
}

// inherit copies an execution's descriptors, as the start of a command does. The copies stay
// open as long as the command's processes live, which is until end is called.
func (k *kit) inherit(x ledger.Execution) (end func()) {
	k.Helper()
	i, ok := x.(ledger.Inheriting)
	if !ok {
		k.Fatal("the execution is not Inheriting")
	}
	var files []*os.File
	for _, f := range i.Descriptors() {
		fd, err := syscall.Dup(int(f.Fd()))
		k.ok(err, "dup")
		syscall.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), f.Name()))
	}
	if len(files) == 0 {
		k.Fatal("an Inheriting execution has no descriptors")
	}
	end = func() {
		for _, f := range files {
			f.Close()
		}
	}
	k.Cleanup(end)
	return end
}

// leftover checks that processes without a holder keep id busy until end.
func (k *kit) leftover(id ledger.ID, end func()) {
	k.Helper()
	k.claimBusy(id)
	_, err := k.b.Claim(k.ctx, id)
	k.same(k.busy(err, id, "Claim with leftovers").Leftover, true, "Leftover")
	k.busy(k.b.Forget(k.ctx, id), id, "Forget with leftovers")
	k.busy(k.refuseMark(k.b, id, newMark(k.get(k.b, id), ledger.Succeeded)), id, "Mark with leftovers")
	done := make(chan error, 1)
	go func() { done <- k.b.Wait(k.ctx, id) }()
	k.stillWaiting(done, "leftovers are alive")
	end()
	k.ok(k.answer(done), "Wait")
	k.claimFree(id)
}

// leftoversOfExit: a daemon that an exited command left behind does not keep the key busy.
func leftoversOfExit(k *kit) {
	for _, o := range []ledger.Outcome{success, failure} {
		id := key(string(o.State))
		c := k.claim(k.a, id)
		x := k.begin(c)
		k.inherit(x)
		k.finish(x, o)
		k.release(c)
		k.claimFree(id)
		k.run(k.b, id, success)
	}
}

// leftoversOfSignal: the commands of a shell may go on after a signal has killed the shell.
func leftoversOfSignal(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	end := k.inherit(x)
	k.finish(x, killed)
	k.release(c)
	k.phase(id, ledger.PhaseFailed)
	k.leftover(id, end)
	k.phase(id, ledger.PhaseFailed)
}

func leftoversOfCrash(k *kit) {
	id := key("k")
	end := k.inherit(k.begin(k.claim(k.a, id)))
	k.crash()
	k.phase(id, ledger.PhaseRunning)
	k.leftover(id, end)
	k.phase(id, ledger.PhaseInterrupted)
	k.same(k.run(k.b, id, success).Number, 2, "number of the attempt after the leftovers")
}

// leftoversWithoutDescriptors: a command that has closed its inherited descriptors is found
// by its environment, by every process that claims the key.
func leftoversWithoutDescriptors(k *kit) {
	id := key("k")
	x := k.begin(k.claim(k.a, id))
	p, end := k.h.Leave(k.T, "A=b", ledger.RunIDVar+"="+x.Attempt().RunID)
	k.crash()
	k.phase(id, ledger.PhaseRunning)
	for _, phases := range []ledger.Phases{nil, {ledger.PhaseRunning}} {
		all := k.list(k.b, ledger.Filter{Phases: phases})
		if len(all) != 1 || !all[0].Alive {
			k.Errorf("listed with phases %q: got %+v", phases, all)
		}
	}
	k.listed(ledger.Filter{Phases: ledger.Phases{ledger.PhaseInterrupted}})
	_, err := k.a.Claim(k.ctx, id)
	busy := k.busy(err, id, "Claim with leftovers")
	k.same(busy.Holders, []ledger.Process{p}, "Holders")
	k.same(busy.Record.Phase(), ledger.PhaseRunning, "phase of the busy record")
	k.leftover(id, end)
	k.phase(id, ledger.PhaseInterrupted)
	k.same(k.run(k.b, id, success).Number, 2, "number of the attempt after the leftovers")
}

// leftoversInside: a command may run another attempt inside of it. The processes of that
// attempt, also its hooks and probes, belong to the command too.
func leftoversInside(k *kit) {
	for name, chain := range map[string]string{
		"inside": "%s:b", "deep inside": "a:%s:b:c", "in its first probe": "%s:key-b", "in its hook": "%s:" + ledger.ForEvent + ":b",
	} {
		id := key(name)
		x := k.begin(k.claim(k.a, id))
		_, end := k.h.Leave(k.T, ledger.ChainVar+"="+fmt.Sprintf(chain, x.Attempt().RunID), ledger.RunIDVar+"=b", ledger.EventVar+"=start")
		k.crash()
		k.phase(id, ledger.PhaseRunning)
		k.leftover(id, end)
		k.phase(id, ledger.PhaseInterrupted)
	}
}

// leftoversOfAnEnd: after a recorded end, processes of the command that hold no descriptor
// no longer count.
func leftoversOfAnEnd(k *kit) {
	for name, o := range map[string]ledger.Outcome{"success": success, "failure": failure, "killed": killed} {
		id := key(name)
		c := k.claim(k.a, id)
		x := k.begin(c)
		_, end := k.h.Leave(k.T, ledger.RunIDVar+"="+x.Attempt().RunID)
		k.finish(x, o)
		k.release(c)
		k.phase(id, ledger.Phase(o.State))
		k.claimFree(id)
		k.run(k.b, id, success)
		end()
	}
}

// leftoversThatDoNotCount: processes of another attempt, of hooks and of probes do not
// count.
func leftoversThatDoNotCount(k *kit) {
	id := key("k")
	x := k.begin(k.claim(k.a, id))
	run := ledger.RunIDVar + "=" + x.Attempt().RunID
	for _, env := range [][]string{
		{ledger.RunIDVar + "=" + newRunID()},
		{run + "0"},
		{"X" + run},
		{ledger.RunIDVar + "="},
		{run, ledger.EventVar + "=start"},
		{ledger.EventVar + "=probe", run},
		{ledger.ChainVar + "=a:" + x.Attempt().RunID, ledger.EventVar + "=probe", run},
		{ledger.ChainVar + "=" + ledger.ForEvent + ":" + x.Attempt().RunID + ":b", ledger.RunIDVar + "=b"},
		{ledger.ChainVar + "=a:x" + x.Attempt().RunID},
		{ledger.ChainVar + "="},
	} {
		_, end := k.h.Leave(k.T, env...)
		defer end()
	}
	k.crash()
	k.phase(id, ledger.PhaseInterrupted)
	k.ok(k.b.Wait(k.ctx, id), "Wait")
	k.claimFree(id)
}
