package cmd_test

import (
	"strings"
)

// hintCase prepares the record and causes a message whose hints contain
// commands. It returns the result of idem.
type hintCase struct {
	name  string
	place int  // index in hintPlaces
	bare  bool // the key has only a record in the window
	make  func(w *hintWorld) result
	hints int
}

var hintCases = []hintCase{
	{"failed before, with another command", 0, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--", "true")
	}, 1},
	{"interrupted, with another command", 1, false, func(w *hintWorld) result {
		w.interrupt()
		return w.call("--", "true")
	}, 3},
	{"interrupted", 2, false, func(w *hintWorld) result {
		w.interrupt()
		return w.call("--", "sh", "-c", "echo target; kill -9 $PPID")
	}, 4},
	{"interrupted, without a window", 4, false, func(w *hintWorld) result {
		w.interrupt()
		return w.call("--", "sh", "-c", "echo target; kill -9 $PPID")
	}, 4},
	{"waited for, interrupted", 3, false, func(w *hintWorld) result {
		w.interrupt()
		return w.callAsUser("wait", "--window", w.window)
	}, 4},
	{"waited for, failed", 0, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.callAsUser("wait", "--window", w.window)
	}, 1},
	{"the probe cannot tell", 1, false, func(w *hintWorld) result {
		return w.call("--probe-first", "--probe", "exit 2", "--", "true")
	}, 1},
	{"the probe cannot tell, without a window", 4, false, func(w *hintWorld) result {
		return w.call("--probe-first", "--probe", "exit 2", "--", "true")
	}, 1},
	{"the probe cannot tell about a timeout", 3, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--timeout", "0.1", "--", "sh", "-c", "echo target; exec sleep 60"), 124)
		return w.call("--probe-on", "timeout", "--probe", "exit 2", "--", "sh", "-c", "echo target; exec sleep 60")
	}, 3},
	{"cannot be verified", 4, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "echo", "target"), 0)
		return w.call("--verify", "exit 2", "--", "echo", "target")
	}, 1},
	{"too late", 0, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--rerun-within", "1ms", "--", "sh", "-c", "echo target; exit 1")
	}, 3},
	{"not again after a failure", 2, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--on-failure", "refuse", "--", "sh", "-c", "echo target; exit 1")
	}, 2},
	{"no attempt left", 3, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--max-attempts", "1", "--", "sh", "-c", "echo target; exit 1")
	}, 2},
	{"unrecorded", 0, false, func(w *hintWorld) result {
		return w.call("--tty", "--", "sh", "-c", `trap "" HUP; echo target; kill -9 $PPID; exit 3`)
	}, 4},
	{"output that did not arrive", 1, false, func(w *hintWorld) result {
		return w.callToFullDisk("--force", "--", "echo", "target")
	}, 1},
	{"cut output that did not arrive", 2, false, func(w *hintWorld) result {
		return w.callToFullDisk("--max-output", "100", "--", "seq", "1", "1000")
	}, 1},
	{"forget, which window", 2, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		return w.callAsUser("forget")
	}, 3},
	{"token, which window", 3, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		return w.callAsUser("token")
	}, 3},
	{"mark, which window", 0, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		w.wantStatus(w.callInFull("mark", "retry", "--force"), 0)
		return w.callAsUser("mark", "failed")
	}, 3},
	{"wait, which window", 1, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		return w.callAsUser("wait")
	}, 3},
	{"nothing is recorded there", 1, true, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "echo", "target"), 0)
		w.forgetDecoys("default")
		return w.callAsUser("show", "--namespace", "third")
	}, 1},
	{"nothing is recorded, but steps", 4, true, func(w *hintWorld) result {
		w.wantStatus(w.step(hintKey, "child", "echo", "target").wait(), 0)
		w.forgetDecoys("prod team")
		return w.callAsUser("show", "--window", "")
	}, 1},
	{"nothing is recorded, but a step is called so", 4, true, func(w *hintWorld) result {
		w.key = "it's/a step"
		w.wantStatus(w.step("it's", "a step", "echo", "target").wait(), 0)
		return w.run("show", "--ledger", w.one, "a step")
	}, 1},
	{"a step is held", 1, false, func(w *hintWorld) result {
		w.key = hintKey + "/child"
		run := w.step(hintKey, "child", "sh", "-c", "echo target; echo x >running; until [ -e go ]; do sleep 0.01; done")
		w.waitLines("running", 1)
		r := w.run("forget", "--ledger", w.one, "--namespace", w.ns, "--window", w.window, "--under="+hintKey)
		w.write("go", "")
		w.wantStatus(run.wait(), 0)
		return r
	}, 1},
	{"a batch has no outcome", 2, false, func(w *hintWorld) result {
		w.write("items", "a\n")
		w.key = "it's a batch"
		w.window = ""
		w.wantStatus(w.run("each", "--ledger", w.one, "--namespace", w.ns, "--key", w.key, "--arg-file", "items", "--", "echo", "target"), 0)
		return w.run("wait", "--ledger", w.one, "--namespace", w.ns, w.key)
	}, 1},
	{"the value of a step", 0, false, (*hintWorld).cutValue, 2},
	{"an interrupted step", 1, false, (*hintWorld).interruptedStep, 4},
	{"held", 2, false, func(w *hintWorld) result {
		argv := append(append([]string{"run"}, w.flags...), "--per", "year", "--tz", "UTC", "--at", w.window+"-05-05", "--key="+hintKey)
		run := w.idem(append(argv, "--", "sh", "-c", "echo target; echo x >running; until [ -e go ]; do sleep 0.01; done")...)
		w.waitLines("running", 1)
		r := w.callAsUser("forget", "--window", w.window)
		w.write("go", "")
		w.wantStatus(run.wait(), 0)
		return r
	}, 1},
}

// thisYear records a success in the current year's window and returns the
// window.
func thisYear(w *hintWorld) string {
	argv := append(append([]string{"run"}, w.flags...), "--per", "year", "--key="+hintKey, "--", "sh", "-c", "echo target; echo $IDEM_WINDOW >window")
	w.wantStatus(w.run(argv...), 0)
	return strings.TrimSpace(w.read("window"))
}
