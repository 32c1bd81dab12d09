package cmd

import "idem/runner"

// hookClash is an event that no call with certain flags has.
type hookClash struct {
	flag  string // the event does not occur with it; or without it, if why is ""
	event runner.Event
	why   string
	is    func(*runOptions) bool
}

// hookClashes are the clashes of --hook with other flags of idem run.
var hookClashes = []hookClash{
	{"force", runner.EventReplay, neverReplayed, func(o *runOptions) bool { return o.force }},
	{"on-interrupted rerun", runner.EventInterrupted, "nothing is refused as interrupted", (*runOptions).refusesNoUnknown},
	{"on-mismatch rerun", runner.EventMismatch, "other inputs are not refused", func(o *runOptions) bool { return o.onMismatch.rerun() }},
	{"key", runner.EventMismatch, "", func(o *runOptions) bool { return o.key == "" }}, // different inputs lead to a different derived key
	{"wait", runner.EventBusy, "a wait without a limit ends when the key is free", func(o *runOptions) bool { return o.wait.set && o.wait.limit == 0 }},
}

// checkHooks refuses a hook that never runs, because no call with these flags has any
// of its events. The error names the flag that rules out the first of them.
func (o *runOptions) checkHooks() error {
	for i := range o.hooks.list {
		h := &o.hooks.list[i]
		var first *hookClash
		for _, e := range h.Events {
			c := o.clashOf(e)
			if c == nil {
				first = nil
				break
			}
			if first == nil {
				first = c
			}
		}
		switch name := "hook " + h.events + "=CMD"; {
		case first == nil:
		case first.why == "":
			return needError(name, first.flag)
		default:
			return clashError(first.flag, name, first.why)
		}
	}
	return nil
}

// clashOf returns why a call has no such event, nil if it may have it.
func (o *runOptions) clashOf(e runner.Event) *hookClash {
	for i := range hookClashes {
		if c := &hookClashes[i]; c.event == e && c.is(o) {
			return c
		}
	}
	return nil
}
