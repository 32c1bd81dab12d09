package cmd_test

import (
	"os"
	"strings"
)

// familyHintCases are about steps and items.
var familyHintCases = []hintCase{
	{"a batch has no outcome", 2, false, func(w *hintWorld) result {
		w.wantStatus(w.batch("--", "echo", "target"), 0)
		return w.run("wait", "--ledger", w.one, "--namespace", w.ns, w.key)
	}, 1},
	{"failed items", 2, true, func(w *hintWorld) result {
		return w.batch("--", "sh", "-c", "exit 1", "{}")
	}, 1},
	{"interrupted items", 2, true, func(w *hintWorld) result {
		w.batch("--", "sh", "-c", "kill -9 $PPID", "{}")
		w.waitUntil("the item is interrupted", func() bool { return strings.Contains(w.callInFull("list").out, "interrupted") })
		return w.batch("--", "sh", "-c", "kill -9 $PPID", "{}")
	}, 3},
	{"items without a recorded end", 2, true, func(w *hintWorld) result {
		r := w.batch("--", "mv", "it's one", "{}")
		if err := os.Rename(w.path("a"), w.path("it's one")); err != nil {
			w.t.Fatal(err)
		}
		return r
	}, 1},
	{"a batch whose output did not arrive", 2, true, func(w *hintWorld) result {
		return w.batchTo("/dev/full", "--", "echo", "{}")
	}, 1},
	{"a run, not a batch", 4, true, func(w *hintWorld) result {
		w.key = hintKey
		w.wantStatus(w.call("--", "echo", "target"), 0)
		w.write("items", "a\n")
		return w.run("each", "--ledger", w.one, "--namespace", w.ns, "--key="+w.key, "--arg-file", "items", "--", "echo", "{}")
	}, 1},
	{"the value of a step", 0, false, (*hintWorld).cutValue, 2},
	{"an interrupted step", 1, false, (*hintWorld).interruptedStep, 4},
}

// callToFullDisk makes a call whose output cannot be written.
func (w *hintWorld) callToFullDisk(args ...string) result {
	w.t.Helper()
	to, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer to.Close()
	argv := append([]string{"idem", "run"}, w.flags...)
	argv = append(argv, "--per", "year", "--tz", "UTC", "--at", w.window+"-05-05", "--key="+hintKey)
	return w.start(append(argv, args...), stdout(to)).wait()
}

// step runs a step of a key without a run.
func (w *hintWorld) step(parent, name string, command ...string) *call {
	w.t.Helper()
	argv := []string{"step", name, "--ledger", w.one, "--namespace", w.ns, "--window", w.window, "--in=" + parent, "--"}
	return w.idem(append(argv, command...)...)
}

// batch runs a batch of one item, which hints name from then on.
func (w *hintWorld) batch(args ...string) result { return w.batchTo(w.path("out"), args...) }

// batchTo is batch with another file as its stdout.
func (w *hintWorld) batchTo(out string, args ...string) result {
	w.t.Helper()
	w.key, w.window = "it's a batch", ""
	w.write("items", "a\n")
	to, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer to.Close()
	argv := append([]string{"idem", "each", "--ledger", w.one, "--namespace", w.ns, "--key", w.key, "--arg-file", "items"}, args...)
	return w.start(argv, stdout(to)).wait()
}

// forgetDecoys forgets the records of hintKey in the other namespaces of the ledger, which a
// message would name as well.
func (w *hintWorld) forgetDecoys(namespaces ...string) {
	w.t.Helper()
	for _, ns := range namespaces {
		for _, window := range []string{w.window, "2021"} {
			w.wantStatus(w.run("forget", "--ledger", w.one, "--namespace", ns, "--window", window, "--", hintKey), 0)
		}
	}
}

// cutValue makes a step whose value is not recorded as a whole, and calls it again.
func (w *hintWorld) cutValue() result {
	w.t.Helper()
	w.key = hintKey + "/child"
	call := func(args ...string) result {
		argv := append([]string{"step", "child"}, w.flags...)
		return w.run(append(append(argv, "--in="+hintKey, "--window", w.window), args...)...)
	}
	w.wantStatus(call("--max-output", "7", "--", "sh", "-c", "echo target; seq 1 100"), 0)
	return call("--", "sh", "-c", "echo target; seq 1 100")
}

func (w *hintWorld) interruptedStep() result {
	w.t.Helper()
	w.key = hintKey + "/child"
	w.step(hintKey, "child", "sh", "-c", "echo target; kill -9 $PPID").wait()
	w.waitState("interrupted")
	return w.step(hintKey, "child", "sh", "-c", "echo target; kill -9 $PPID").wait()
}

// thisYear records a success in the current year's window and returns the
// window.
func thisYear(w *hintWorld) string {
	argv := append(append([]string{"run"}, w.flags...), "--per", "year", "--key="+hintKey, "--", "sh", "-c", "echo target; echo $IDEM_WINDOW >window")
	w.wantStatus(w.run(argv...), 0)
	return strings.TrimSpace(w.read("window"))
}
