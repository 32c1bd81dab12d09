package cmd

import (
	"time"

	"github.com/spf13/pflag"

	"idem/runner"
)

// policyFlags are the flags that say what to do about an earlier outcome. All
// they do is in runner.Decide; which of them do not go together is in flags_pairs.go.
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

func (o *policyFlags) flags(f *pflag.FlagSet) {
	f.Var(&o.onFailure, "on-failure", "after a failure: `CHOICE` of rerun, replay or refuse (status 80)")
	f.Var(&o.onInterrupted, "on-interrupted", "after an attempt whose end is not known: `CHOICE` of refuse (status 79) or rerun")
	f.Var(&o.onMismatch, "on-mismatch", "when the key is recorded with other inputs: `CHOICE` of refuse (status 65) or rerun")
	f.Var(&o.final, "final", "failures with these exit statuses are not run again but replayed: `CODES` such as 2,64-78")
	f.IntVar(&o.maxAttempts, "max-attempts", 0, "refuse (status 80) when the key has had `N` attempts since its last success")
	f.StringVar(&o.probe, "probe", "", "when the outcome of the key is unknown, ask the shell command `CMD`")
	f.BoolVar(&o.probeFirst, "probe-first", false, "ask the probe also before the first run, to adopt what was done without idem")
	f.Var(&o.probeTimeout, "probe-timeout", "end the probe after `DURATION` (0: never), as --timeout does; then it cannot tell")
	f.BoolVar(&o.force, "force", false, "run again also after a success; never while it runs")
}

// policy returns the policy of the flags and of --ttl.
func (o *policyFlags) policy(ttl time.Duration) (runner.Policy, error) {
	if o.maxAttempts < 0 {
		return runner.Policy{}, usage("--max-attempts requires a number from 0 on")
	}
	return runner.Policy{
		OnFailure: runner.Choice(o.onFailure.value), OnInterrupted: runner.Choice(o.onInterrupted.value),
		OnMismatch: runner.Choice(o.onMismatch.value), Force: o.force,
		TTL: ttl, Final: o.final.set, MaxAttempts: o.maxAttempts,
		Probe: o.probe != "", ProbeFirst: o.probeFirst,
	}, nil
}
