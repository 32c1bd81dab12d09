package cmd_test

import "regexp"

// callStep runs idem step for the record, with more flags.
func (w *hintWorld) callStep(args ...string) result {
	w.t.Helper()
	argv := append([]string{"step", w.key[len(hintKey)+1:]}, w.flags...)
	return w.run(append(append(argv, "--in="+hintKey, "--window", w.window), args...)...)
}

// cutValue makes a step whose value is not recorded as a whole, and calls it again.
func (w *hintWorld) cutValue() result {
	w.t.Helper()
	w.wantStatus(w.callStep("--max-output", "7", "--", "sh", "-c", "echo target; seq 1 100"), 0)
	return w.callStep("--", "sh", "-c", "echo target; seq 1 100")
}

func (w *hintWorld) interruptedStep() result {
	w.t.Helper()
	w.callStep("--", "sh", "-c", "echo target; kill -9 $PPID")
	w.waitState("interrupted")
	return w.callStep("--", "sh", "-c", "echo target; kill -9 $PPID")
}

var agePattern = regexp.MustCompile(`"age_seconds": \d+`)

// shown returns the record as idem show prints it, without its age.
func (w *hintWorld) shown() string {
	w.t.Helper()
	return agePattern.ReplaceAllString(w.callInFull("show", "--json").out, "")
}
