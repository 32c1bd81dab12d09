package cmd

import (
	"idem/runner"
)

// needs are flags that say more about another one and do nothing without it.
var needs = []struct {
	flag string
	what string // what it says
	of   []string
}{
	{"probe-first", "when to ask a probe", []string{"probe"}},
	{"probe-timeout", "how long a probe may take", []string{"probe"}},
	{"retry-delay", "when to retry", []string{"retries"}},
	{"retry-max-delay", "when to retry", []string{"retries"}},
	{"retry-on", "what to retry after", []string{"retries"}},
	{"kill-after", "when to kill what is out of time", []string{"timeout", "probe"}},
}

// fittingPolicy returns the policy, unless two flags do not go together: whoever
// has given both expects something that one of them would not do.
func (o *runOptions) fittingPolicy() (runner.Policy, error) {
	for _, n := range needs {
		there := false
		for _, name := range n.of {
			there = there || o.given(name)
		}
		if o.given(n.flag) && !there {
			return runner.Policy{}, usage("--%s says %s, but there is no --%s", n.flag, n.what, n.of[0])
		}
	}
	onFailure, once := o.onFailure.value, o.retries == 0
	for _, clash := range []struct {
		flag, other string
		why         string
		is          bool
	}{
		{"force", "probe", "the command runs, whatever the probe says", o.force && o.probe != ""},
		{"force", "on-failure " + onFailure, "the command runs, whatever became of it before", o.force && onFailure != string(runner.Rerun)},
		{"force", "final", "the command runs, whatever became of it before", o.force && o.final.set != nil && once},
		{"force", "max-attempts", "the command runs, however often it has run before", o.force && o.maxAttempts > 0},
		{"force", "replay " + o.streams.value, "nothing is replayed", o.force && o.streams.value != "all"},
		{"force", "partial", "nothing is replayed", o.force && o.partial},
		{"force", "exact", "nothing is replayed", o.force && o.exact},
		{"on-failure replay", "final", "every failure is replayed", onFailure == string(runner.ReplayIt) && o.final.set != nil && once},
		{"ok", "final", "these statuses are a success", o.final.set.Within(o.ok.set)},
		{"ok", "retry-on", "these statuses are a success", o.retryOn.set.Within(o.ok.set)},
		{"final", "retry-on", "these failures are not run again", o.retryOn.set.Within(o.final.set)},
		{"max-attempts 1", "retries", "the first attempt is the last", o.maxAttempts == 1 && o.retries > 0},
	} {
		if clash.is {
			return runner.Policy{}, usage("--%s and --%s do not go together: with --%s, %s", clash.flag, clash.other, clash.flag, clash.why).
				hint("leave out one of them")
		}
	}
	return o.policy(o.identity)
}
