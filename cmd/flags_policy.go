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
	resumable     bool
	onMismatch    choice
	force         bool
	final         codes
	maxAttempts   int
	rerunWithin   age
	probe         string
	probeFirst    bool
	probeOn       ends
	probeTimeout  duration
	verify        string
	onUnverified  choice
}

func newPolicyFlags() *policyFlags {
	return &policyFlags{
		onFailure:     choice{value: string(runner.ChoiceRerun), of: []string{"rerun", "replay", "refuse"}},
		onInterrupted: choice{value: string(runner.ChoiceRefuse), of: []string{"refuse", "rerun"}},
		onMismatch:    choice{value: string(runner.ChoiceRefuse), of: []string{"refuse", "rerun"}},
		probeOn:       ends{runner.EndInterrupted},
		probeTimeout:  duration{30 * time.Second},
		onUnverified:  choice{value: string(runner.ChoiceRefuse), of: []string{"refuse", "replay", "rerun"}},
	}
}

func (o *policyFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.onFailure, "on-failure", "choose what to do after a failure: rerun, replay or refuse (status 80)")
	f.Var(&o.onInterrupted, "on-interrupted", "choose what to do after an interrupted attempt: refuse (status 79) or rerun")
	f.BoolVar(&o.resumable, "resumable", false, "run again after an interrupted attempt, because all effects of the command are in its steps (see idem help scripts)")
	f.Var(&o.onMismatch, "on-mismatch", "choose what to do if the recorded inputs differ: refuse (status 65) or rerun")
	f.Var(&o.final, "final", "replay failures with the exit statuses `CODES`, such as 2,64-78, instead of running again")
	f.IntVar(&o.maxAttempts, "max-attempts", 0, "refuse (status 80) after `N` attempts since the last success")
	f.Var(&o.rerunWithin, "rerun-within", "refuse (status 80, or 79) to run again when the first attempt since the last success is older than `AGE`")
	f.StringVar(&o.probe, "probe", "", "find out an unknown outcome with the shell command `CMD`")
	f.BoolVar(&o.probeFirst, "probe-first", false, "run the probe before the first run too, to adopt work done without idem")
	f.Var(&o.probeOn, "probe-on", "ask the probe about the ends in `LIST`, some of interrupted,timeout,signal")
	f.StringVar(&o.verify, "verify", "", "before a success is replayed, check with the shell command `CMD` that its effect is still there")
	f.Var(&o.onUnverified, "on-unverified", "choose what to do if the verification cannot tell: refuse (status 79), replay or rerun")
	f.Var(&o.probeTimeout, "probe-timeout", "end the probe or the verification after `DURATION` (0: never); it then cannot tell")
	f.BoolVar(&o.force, "force", false, "run again even after a success, but never while the key is running")
}

// policy returns the policy of the flags, of --ttl and of --wait=fresh.
func (o *policyFlags) policy(ttl time.Duration, fresh bool) (runner.Policy, error) {
	if o.maxAttempts < 0 {
		return runner.Policy{}, usage("--max-attempts requires a number of at least 0")
	}
	interrupted := runner.Choice(o.onInterrupted.value)
	if o.resumable {
		interrupted = runner.ChoiceRerun
	}
	return runner.Policy{
		OnFailure: runner.Choice(o.onFailure.value), OnInterrupted: interrupted,
		OnMismatch: runner.Choice(o.onMismatch.value), Force: o.force, Fresh: fresh,
		TTL: ttl, Final: o.final.set, MaxAttempts: o.maxAttempts,
		RerunWithin: o.rerunWithin.Duration,
		Probe:       o.probe != "", ProbeFirst: o.probeFirst, ProbeOn: o.probeOn.set,
		Verify: o.verify != "", OnUnverified: runner.Choice(o.onUnverified.value),
	}, nil
}

// questions are the shell commands that a call may ask, and how long they may take.
func (o *policyFlags) questions() (probe, verification runner.Probe) {
	return runner.Probe{Command: o.probe, Timeout: o.probeTimeout.Duration}, runner.Probe{Command: o.verify, Timeout: o.probeTimeout.Duration}
}
