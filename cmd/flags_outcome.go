package cmd

import (
	"time"

	"github.com/spf13/pflag"

	"idem/runner"
)

// outcomeFlags are the flags that decide whether an attempt succeeded, and when the
// next attempt begins.
type outcomeFlags struct {
	ok            okCodes
	retries       int
	retryDelay    duration
	retryMaxDelay maxDelay
	retryOn       codes
	timeout       duration
	killAfter     duration
}

func newOutcomeFlags() outcomeFlags {
	return outcomeFlags{
		retryDelay:    duration{time.Second},
		retryMaxDelay: maxDelay{duration: duration{time.Minute}},
		killAfter:     duration{10 * time.Second},
	}
}

func (o *outcomeFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.ok, "ok", "treat the exit statuses `CODES`, such as 0,24 or 100-110, as a success; idem then exits 0, or with the status itself if it is written as 2=keep")
	f.IntVar(&o.retries, "retries", 0, "run a failed command up to `N` more times within this call; only for a command that may safely run twice")
	f.Var(&o.retryDelay, "retry-delay", "wait `DURATION` before the first retry, then twice as long each time, with jitter")
	f.Var(&o.retryMaxDelay, "retry-max-delay", "wait at most `DURATION` before a retry; a longer --retry-delay raises the default")
	f.Var(&o.retryOn, "retry-on", "retry only after the exit statuses `CODES` (default: all)")
	f.Var(&o.timeout, "timeout", "end an attempt after `DURATION` with status 124: send TERM to the command and, unless it is in the terminal's foreground, to its process group")
	f.Var(&o.killAfter, "kill-after", "send KILL if the command has not ended `DURATION` after TERM (0: never)")
}

func (o *outcomeFlags) check() error {
	if o.retries < 0 {
		return usage("--retries requires a number of at least 0")
	}
	return nil
}

func (o *outcomeFlags) retryPolicy() runner.Retries {
	limit := o.retryMaxDelay.Duration
	if !o.retryMaxDelay.set { // a default limit must not shorten a given --retry-delay
		limit = max(limit, o.retryDelay.Duration)
	}
	return runner.Retries{N: o.retries, Delay: o.retryDelay.Duration, MaxDelay: limit, On: o.retryOn.set}
}

// maxDelay is the value of --retry-max-delay.
type maxDelay struct {
	duration
	set bool
}

func (l *maxDelay) Set(s string) error {
	l.set = true
	return l.duration.Set(s)
}
