package cmd

import (
	"time"

	"github.com/spf13/pflag"

	"idem/runner"
)

// policyFlags are the flags that choose what to do about an earlier outcome.
// runner.Decide applies them. flags_pairs.go has the flags that cannot be combined.
type policyFlags struct {
	onFailure     choice
	onInterrupted choice
	onMismatch    choice
	force         bool
	final         codes
	maxAttempts   int
	probe         string
	probeFirst    bool
	probeTimeout  duration
}

func newPolicyFlags() *policyFlags {
	return &policyFlags{
		onFailure:     choice{value: string(runner.ChoiceRerun), of: []string{"rerun", "replay", "refuse"}},
		onInterrupted: choice{value: string(runner.ChoiceRefuse), of: []string{"refuse", "rerun"}},
		onMismatch:    choice{value: string(runner.ChoiceRefuse), of: []string{"refuse", "rerun"}},
		probeTimeout:  duration{30 * time.Second},
	}
}

func (o *policyFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.onFailure, "on-failure", "choose what to do after a failure: rerun, replay or refuse (status 80)")
	f.Var(&o.onInterrupted, "on-interrupted", "choose what to do after an interrupted attempt: refuse (status 79) or rerun")
	f.Var(&o.onMismatch, "on-mismatch", "choose what to do if the recorded inputs differ: refuse (status 65) or rerun")
	f.Var(&o.final, "final", "replay failures with the exit statuses `CODES`, such as 2,64-78, instead of running again")
	f.IntVar(&o.maxAttempts, "max-attempts", 0, "refuse (status 80) after `N` attempts since the last success")
	f.StringVar(&o.probe, "probe", "", "find out an unknown outcome with the shell command `CMD`")
	f.BoolVar(&o.probeFirst, "probe-first", false, "run the probe before the first run too, to adopt work done without idem")
	f.Var(&o.probeTimeout, "probe-timeout", "end the probe after `DURATION` (0: never); the outcome then stays unknown")
	f.BoolVar(&o.force, "force", false, "run again even after a success, but never while the key is running")
}

// policy returns the policy of the flags, of --ttl and of --wait=fresh.
func (o *policyFlags) policy(ttl time.Duration, fresh bool) (runner.Policy, error) {
	if o.maxAttempts < 0 {
		return runner.Policy{}, usage("--max-attempts requires a number of at least 0")
	}
	return runner.Policy{
		OnFailure: runner.Choice(o.onFailure.value), OnInterrupted: runner.Choice(o.onInterrupted.value),
		OnMismatch: runner.Choice(o.onMismatch.value), Force: o.force, Fresh: fresh,
		TTL: ttl, Final: o.final.set, MaxAttempts: o.maxAttempts,
		Probe: o.probe != "", ProbeFirst: o.probeFirst,
	}, nil
}
