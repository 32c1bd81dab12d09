package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"idem/ledger"
)

const forgetLong = `Forget keys: their attempts, their recorded output, and that they ever ran.

The next call runs the command again, with a new IDEM_TOKEN. A running key is
refused (status 75). If nothing is recorded under a key, idem still forgets the
other keys.`

func (a *app) forgetCommand() *cobra.Command {
	var record *recordFlags
	c := &cobra.Command{
		Use:     "forget KEY...",
		Short:   "Forget keys, so they run again",
		Long:    forgetLong + recordLong + refuseLong,
		Example: "  idem forget deploy:prod:8471",
		Args:    someArgs("key"),
		RunE:    func(c *cobra.Command, keys []string) error { return a.forget(c.Context(), keys, record) },
	}
	record = newRecordFlags(c, nil, false)
	return c
}

func (a *app) forget(ctx context.Context, keys []string, record *recordFlags) error {
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
	var last error
	for i, id := range ids {
		err := unread[i]
		if err == nil {
			err = l.Forget(ctx, id)
		}
		if errors.Is(err, ledger.ErrNotFound) {
			err = notRecordedFailure(ctx, l, id)
		}
		if err == nil {
			a.ui.note("forgot key %s%s", quote(id.Key), inWindow(id))
			continue
		}
		if last != nil {
			a.ui.fail(failureOf(last))
		}
		last = err
	}
	return last
}
