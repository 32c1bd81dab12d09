package cmd

import (
	"cmp"
	"context"
	"errors"

	"github.com/spf13/cobra"

	"idem/ledger"
)

const forgetLong = `Forget keys: their attempts, their recorded output, and that they ever ran.

The next call runs the command again, with a new IDEM_TOKEN. A running key is
refused (status 75). If nothing is recorded under a key, idem still forgets the
other keys.

With a key, its steps or items are forgotten too. --under forgets the steps or
items alone, or those in one state. Those that are running are left as they are
(status 75). If the call is cut off, the next one goes on.`

func (a *app) forgetCommand() *cobra.Command {
	o := &underFlags{}
	var asJSON bool
	c := &cobra.Command{
		Use:     "forget KEY...",
		Short:   "Forget keys, so they run again",
		Long:    forgetLong + recordLong + refuseLong,
		Example: "  idem forget deploy:prod:8471\n  idem forget --under backfill --failed",
		RunE: func(c *cobra.Command, keys []string) error {
			if err := o.checkPairs(c.Flags(), nil, underNames, ""); err != nil {
				return err
			}
			if o.under == "" {
				if err := someArgs("key")(c, keys); err != nil {
					return err
				}
				return a.forget(c.Context(), keys, o.record, asJSON)
			}
			if len(keys) > 0 {
				return usage("idem forget: unexpected argument %s with --under", quoteWord(keys[0]))
			}
			return a.forgetBelow(c.Context(), o, asJSON)
		},
	}
	o.addTo(c, "forget", ledger.PhaseInterrupted, ledger.PhaseSucceeded, ledger.PhaseFailed, ledger.PhaseRetry)
	o.record = newRecordFlags(c, nil, false)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of the keys, or with --under an object with the numbers of keys")
	return c
}

// forgetView is an element of the JSON array of idem forget.
type forgetView struct {
	Schema    int    `json:"schema"`
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	Window    string `json:"window"`
	Forgotten bool   `json:"forgotten"`
	Below     int    `json:"below"` // how many steps and items were forgotten with it
}

func (a *app) forget(ctx context.Context, keys []string, record *recordFlags, asJSON bool) error {
	l, ids, want, err := a.openFor(record, keys...) // checks all keys before the first is forgotten
	if err != nil {
		return err
	}
	unread := make([]error, len(ids))
	for i, id := range ids {
		rec, err := a.find(ctx, l, id, want, record)
		if errors.As(err, new(*failure)) { // the flags do not say which record
			return err
		}
		ids[i], unread[i] = rec.ID, err
	}
	views := []forgetView{}
	var last error
	for i, id := range ids {
		below, err := 0, unread[i]
		if err == nil {
			below, err = a.forgetParent(ctx, l, id)
		}
		views = append(views, forgetView{metaSchema, id.Namespace, cmp.Or(id.Key, keys[i]), id.Window, err == nil, below})
		if err == nil {
			continue
		}
		if last != nil {
			a.ui.fail(failureOf(last))
		}
		last = err
	}
	if asJSON {
		return cmp.Or(a.printJSON(views), last)
	}
	return last
}
