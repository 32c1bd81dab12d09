package cmd

import (
	"cmp"
	"context"
	"os"
	"time"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/inputs"
	"idem/ledger"
)

// keyFlags are the flags that name the key of a call.
type keyFlags struct {
	key             string
	allowEmptyParts bool
	recorded        bool // the key is that of a step or an item, so it may be longer
}

func (o *keyFlags) addTo(f *pflag.FlagSet) {
	f.StringVar(&o.key, "key", "", "name the operation with `KEY`, 1 to 255 bytes of UTF-8; without it, idem derives a key from the namespace, the working directory and all inputs (requires --per or --ttl)")
	emptyPartsFlag(f, &o.allowEmptyParts)
}

func emptyPartsFlag(f *pflag.FlagSet, allow *bool) {
	f.BoolVar(allow, "allow-empty-parts", false, "accept a key with an empty part, such as \"deploy:\", which usually means an unset variable")
}

// keyID returns the ID of the key, without its window. A key that will be derived
// from the inputs has the name "auto" until then.
func (a *app) keyID(o *keyFlags) (ledger.ID, error) {
	if o.recorded {
		return a.recordedID(o.key)
	}
	return a.id(cmp.Or(o.key, "auto"), o.allowEmptyParts)
}

// callIdentity is the identity of a call: its record and its inputs.
type callIdentity struct {
	id     ledger.ID
	origin ledger.Origin // of a step
	inputs hashkey.Inputs
	stdin  *os.File // for the command
}

// identify returns the identity of a call of argv with the flags o. now is the time
// that decides the window.
func (a *app) identify(ctx context.Context, o *runOptions, argv []string, src inputs.Source, now time.Time) (callIdentity, error) {
	var in callIdentity
	var err error
	if in.id, err = a.keyID(&o.keyFlags); err != nil {
		return in, err // before anything is read or created
	}
	window, err := o.window(now)
	if err != nil {
		return in, err
	}
	if o.key == "" && window == "" && !o.ttl.set {
		return in, usage("no key: without --key, --per or --ttl is required").
			hintFlags("to name the operation", "--key KEY").
			hintFlags("to run it once a day", "--per day").
			hintFlags("to run it once and never again", "--ttl never")
	}
	if in.inputs, in.stdin, err = o.inputs.collect(ctx, argv, src); err != nil {
		return in, err
	}
	in.id.Window = window
	if o.key == "" {
		dir, err := os.Getwd()
		if err != nil {
			return in, usage("no key, and the working directory to derive one from is missing: %v", err)
		}
		in.id.Key = inputs.DeriveKey(in.id.Namespace, dir, in.inputs)
	}
	return in, nil
}
