package ledgertest

import "idem/ledger"

var mutexCrashCases = []testCase{
	{"CrashFreesMutexes", crashFreesMutexes, needsCrash},
	{"MutexAfterExit", mutexAfterExit, needsInherits},
	{"MutexLeftoversOfSignal", mutexLeftoversOfSignal, needsInherits},
	{"MutexLeftoversOfRelease", mutexLeftoversOfRelease, needsInherits},
	{"MutexLeftoversOfCrash", mutexLeftoversOfCrash, needsInherits},
	{"MutexLeftoversWithoutDescriptors", mutexLeftoversWithoutDescriptors, needsLeave},
	{"MutexLeftoversOfARetry", mutexLeftoversOfARetry, needsLeave},
	{"MutexLeftoversOfAnEnd", mutexLeftoversOfAnEnd, needsLeave},
}

func crashFreesMutexes(k *kit) {
	k.hold(k.a, key("k"), "m", "n:2")
	other, _ := k.hold(k.b, key("other"), "n:2")
	k.crash()
	k.used("n:2 other | ")
	c, _ := k.hold(k.a, key("next"), "m", "n:2")
	k.used("m:1 next | ", "n:2 next other | ")
	k.release(c)
	k.release(other)
	k.used()
}

// mutexAfterExit: a daemon that an exited command left behind keeps no mutex.
func mutexAfterExit(k *kit) {
	c, x := k.hold(k.a, key("k"), "m", "n:3")
	k.inherit(x)
	k.finish(x, success)
	k.release(c)
	k.used()
	c, _ = k.hold(k.b, key("other"), "m", "n")
	k.release(c)
}

// leftoverHolds checks that processes without a call keep mutex m until end.
func (k *kit) leftoverHolds(id ledger.ID, end func()) {
	k.Helper()
	k.used("m:1 " + id.Key + "+ | ")
	c := k.claim(k.b, key("other"))
	e := k.noPlace(c, "m")
	k.same(stateText(e.State), "m:1 "+id.Key+"+ | ", "state of the error")
	k.noPlace(c, "m:2")
	done := k.queued(k.ctx, c, "m")
	k.stillQueued(done, "leftovers are alive")
	end()
	k.ok(k.answer(done), "Queue")
	k.beginWith(c, startWith(mutexes("m")))
	k.used("m:1 other | ")
	k.release(c)
	k.used()
}

func mutexLeftoversOfSignal(k *kit) {
	c, x := k.hold(k.a, key("k"), "m")
	end := k.inherit(x)
	k.finish(x, killed)
	k.release(c)
	k.leftoverHolds(key("k"), end)
}

// mutexLeftoversOfRelease: the outcome of the command could not be recorded.
func mutexLeftoversOfRelease(k *kit) {
	c, x := k.hold(k.a, key("k"), "m")
	end := k.inherit(x)
	k.release(c)
	k.leftoverHolds(key("k"), end)
}

func mutexLeftoversOfCrash(k *kit) {
	_, x := k.hold(k.a, key("k"), "m")
	end := k.inherit(x)
	k.crash()
	k.leftoverHolds(key("k"), end)
}

// mutexLeftoversWithoutDescriptors: a command that has closed its descriptors is found by its
// environment.
func mutexLeftoversWithoutDescriptors(k *kit) {
	_, x := k.hold(k.a, key("k"), "m")
	_, end := k.h.Leave(k.T, ledger.RunIDVar+"="+x.Attempt().RunID)
	k.crash()
	k.leftoverHolds(key("k"), end)
}

// mutexLeftoversOfARetry: the mutex belongs to the latest attempt of its claim.
func mutexLeftoversOfARetry(k *kit) {
	c, x := k.hold(k.a, key("k"), "m")
	_, endFirst := k.h.Leave(k.T, ledger.RunIDVar+"="+x.Attempt().RunID)
	k.finish(x, failure)
	x = k.beginWith(c, startWith(mutexes("m")))
	_, end := k.h.Leave(k.T, ledger.RunIDVar+"="+x.Attempt().RunID)
	k.crash()
	k.leftoverHolds(key("k"), end)
	endFirst()
}

// mutexLeftoversOfAnEnd: after a recorded end, processes of the command that hold no descriptor
// keep no mutex, also from a claim that has waited before.
func mutexLeftoversOfAnEnd(k *kit) {
	for _, o := range []ledger.Outcome{success, failure, killed} {
		c, x := k.hold(k.a, key("k"), "m")
		_, end := k.h.Leave(k.T, ledger.RunIDVar+"="+x.Attempt().RunID)
		other := k.claim(k.b, key("other"))
		done := k.queued(k.ctx, other, "m")
		k.until("m:1 k | other")
		k.finish(x, o)
		k.release(c)
		k.ok(k.answer(done), "Queue")
		k.beginWith(other, startWith(mutexes("m")))
		k.used("m:1 other | ")
		k.release(other)
		end()
	}
}
