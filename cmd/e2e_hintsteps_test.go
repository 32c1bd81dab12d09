package cmd_test

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
