package cmd

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/ledger/drivers"
)

// sharedFlags are the flags about the claim of a call in a shared ledger.
type sharedFlags struct {
	lease         leaseLength
	onLost        choice
	finishTimeout duration
}

func newSharedFlags() sharedFlags {
	return sharedFlags{
		lease:         leaseLength{duration{ledger.DefaultLease}},
		onLost:        choice{value: "kill", of: []string{"kill", "keep"}},
		finishTimeout: duration{10 * time.Minute},
	}
}

func (o *sharedFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.lease, "lease", "keep the key for `DURATION` from the last renewal on")
	f.Var(&o.onLost, "on-lost", "kill the command if the lease is lost, or keep it")
	f.Var(&o.finishTimeout, "finish-timeout", "offer the outcome to the ledger for `DURATION`")
}

// leaseLength is the value of --lease.
type leaseLength struct{ duration }

func (l *leaseLength) Set(s string) error {
	d, err := parseLongDuration(s)
	if err != nil || d < ledger.MinLease || d > ledger.MaxLease {
		return fmt.Errorf("want a duration from %s to %s", &duration{ledger.MinLease}, "24h")
	}
	l.Duration = d
	return nil
}

// defaultConnectTimeout is how long a call tries to reach a shared ledger.
const defaultConnectTimeout = 10 * time.Second

// keeps reports whether the command goes on when its lease is lost.
func (o *sharedFlags) keeps() bool { return o.onLost.value == "keep" }

// killsTooLate reports whether the time from TERM to KILL takes more than half of the
// lease. The command could then outlive it.
func (o *runOptions) killsTooLate() bool {
	return !o.keeps() && o.killAfter.Duration > o.lease.Duration/2
}

// needShared refuses flags about the claim in a shared ledger for the ledger in a
// directory. A script that asks for them relies on other hosts being kept out, which such
// a ledger cannot do. Defaults are accepted, and so are the timeouts: they are never
// reached.
func (o *runOptions) needShared(place string) error {
	if o == nil {
		return nil
	}
	for _, name := range []string{"lease", "on-lost"} {
		if f := o.flagSet.Lookup(name); f.Changed && f.Value.String() != f.DefValue {
			return usage("--%s requires a shared ledger", name).
				detail("the ledger is the directory %s, and its claims end with their processes", quote(place)).
				hint("leave out --%s, or name the ledger with its URL: --ledger postgres://USER@HOST/DATABASE", name)
		}
	}
	return nil
}

// openShared opens the shared ledger at a URL for a call with flags of idem run, or nil.
func (a *app) openShared(place string, o *runOptions) (ledger.Store, error) {
	c, err := a.connection(place)
	if err != nil {
		return nil, err
	}
	d := drivers.Options{
		TrustPlace: c.TrustPlace, LocalBase: c.LocalBase, FromFlag: c.FromFlag, ConnectTimeout: c.ConnectTimeout,
		Warn: func(text string) {
			first, details, _ := strings.Cut(text, "\n")
			a.ui.warn("%s", first)
			for detail := range strings.Lines(details) {
				a.ui.warnDetail("%s", detail)
			}
		},
	}
	if o != nil {
		if o.killAfter.Duration == 0 && !o.keeps() {
			return nil, usage("--kill-after 0 can't be combined with a shared ledger").
				detail("a command that ignores TERM would outlive its lease").
				hintFlags("to let the command go on when its lease is lost", "--on-lost keep")
		}
		d.Keep, d.KillAfter, d.FinishTimeout = o.keeps(), o.killAfter.Duration, o.finishTimeout.Duration
		if o.given("lease") { // otherwise that of the URL
			d.Lease = o.lease.Duration
		}
	}
	return drivers.Open(place, d)
}

// connection returns the options of a call for the shared ledger at a URL. In a program
// without its driver, it returns the failure of the call.
func (a *app) connection(place string) (drivers.ConnectOptions, error) {
	if !drivers.Shared {
		return drivers.ConnectOptions{}, sharedFailure(place)
	}
	base, err := localBase(os.Getenv)
	return drivers.ConnectOptions{
		LocalBase: base, FromFlag: place != os.Getenv("IDEM_LEDGER"), TrustPlace: a.trustPlace,
		ConnectTimeout: a.connectTimeout.Duration,
	}, err
}

// localBase returns the directory of this user that a ledger would have without --ledger
// and IDEM_LEDGER. The files of shared ledgers on this host are below it.
func localBase(getenv func(string) string) (string, error) {
	return placeOf("", func(name string) string {
		if name == "IDEM_LEDGER" {
			return ""
		}
		return getenv(name)
	})
}

// commandPlace returns the IDEM_LEDGER of a command whose attempt is recorded in the ledger
// at place. It is the place, which has no password. But if this call got the password
// from its own IDEM_LEDGER, the command gets that value too, byte for byte.
func commandPlace(flag, place string) string {
	if !drivers.IsShared(place) {
		return place
	}
	env := os.Getenv("IDEM_LEDGER")
	if used, err := placeOf(flag, os.Getenv); err == nil && used == env && publicURL(env) != env {
		return env
	}
	return place
}
