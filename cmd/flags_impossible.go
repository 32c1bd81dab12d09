package cmd

import "idem/runner"

// impossible is an end that no call with certain flags has, so --exit-code and --hook for
// it would have no effect.
type impossible struct {
	flag  string // the end does not occur with it; or without it, if why is ""
	why   string
	code  int          // of --exit-code; 0: none
	event runner.Event // of --hook; "": none
	is    func(*runOptions) bool
}

var impossibles = []impossible{
	{"force", neverReplayed, successReplayed, runner.EventReplay, func(o *runOptions) bool { return o.force }},
	{"resumable", "nothing is refused as interrupted", exitInterrupted, runner.EventInterrupted, func(o *runOptions) bool { return o.resumable && o.refusesNoUnknown() }},
	{"on-interrupted rerun", "nothing is refused as interrupted", exitInterrupted, runner.EventInterrupted, (*runOptions).refusesNoUnknown},
	{"on-mismatch rerun", "other inputs are not refused", exitMismatch, runner.EventMismatch, func(o *runOptions) bool { return o.onMismatch.rerun() }},
	{"key", "", exitMismatch, runner.EventMismatch, func(o *runOptions) bool { return o.key == "" }}, // different inputs lead to a different derived key
	{"on-failure replay", "a failure is replayed, not refused", exitFailed, "", func(o *runOptions) bool {
		return o.replaysFailures() && o.maxAttempts == 0 && o.rerunWithin.Duration == 0
	}},
	{"quiet-ok", "a success prints nothing", exitOutput, "", func(o *runOptions) bool { return o.quietOK }},
	{"wait", "a wait without a limit ends when the key is free", 0, runner.EventBusy, func(o *runOptions) bool { return o.wait.set && o.wait.limit == 0 }},
}

// clashWith returns the error of a flag about the end.
func (i *impossible) clashWith(flag string) error {
	if i.why == "" {
		return needError(flag, i.flag)
	}
	return clashError(i.flag, flag, i.why)
}

// checkOutcomes refuses --exit-code and --hook for an end that no call with these flags
// has.
func (o *runOptions) checkOutcomes() error {
	for i := range impossibles {
		end := &impossibles[i]
		for _, r := range remaps {
			if r.code == end.code && o.exitCodes.changes(r.code) && end.is(o) {
				return end.clashWith("exit-code " + r.name + "=N")
			}
		}
	}
	return o.checkHooks()
}

// checkHooks refuses a hook that never runs, because no call with these flags has any
// of its events. The error names the flag that rules out the first of them.
func (o *runOptions) checkHooks() error {
	for i := range o.hooks.list {
		h := &o.hooks.list[i]
		var first *impossible
		for _, e := range h.Events {
			end := o.rulesOut(e)
			if end == nil {
				first = nil
				break
			}
			if first == nil {
				first = end
			}
		}
		if first != nil {
			return first.clashWith("hook " + h.events + "=CMD")
		}
	}
	return nil
}

// rulesOut returns why a call has no such event, nil if it may have it.
func (o *runOptions) rulesOut(e runner.Event) *impossible {
	for i := range impossibles {
		if end := &impossibles[i]; end.event == e && end.is(o) {
			return end
		}
	}
	return nil
}
