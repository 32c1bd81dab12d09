package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/runner"
)

// marks are the ways to settle a key, by the word for them.
var marks = map[string]ledger.State{"done": ledger.Succeeded, "failed": ledger.Failed, "retry": ledger.None}

func markName(s ledger.State) string {
	for name, state := range marks {
		if state == s {
			return name
		}
	}
	return string(s)
}

const markLong = `Settle a key by hand, mostly one that was interrupted.

  done     it was done: later calls replay success, without output
  failed   it was not done: later calls do what --on-failure says
  retry    run it again at the next call, with the same IDEM_TOKEN

A running key is refused (status 75). A key that succeeded is only touched with
--force; "done" then leaves it as it is. The mark is kept in the key's history
with the note, the user and the time.`

type markOptions struct {
	note  string
	force bool
}

func (a *app) markCommand() *cobra.Command {
	o := &markOptions{}
	c := &cobra.Command{
		Use:       "mark done|failed|retry KEY [--note TEXT]",
		Short:     "Settle an interrupted key by hand",
		Long:      markLong,
		Example:   "  idem mark done payment:4711 --note 'found in the bank statement'",
		Args:      exactArgs(2, "done, failed or retry, and one key"),
		ValidArgs: []string{"done", "failed", "retry"},
		RunE: func(c *cobra.Command, args []string) error {
			state, ok := marks[args[0]]
			if !ok {
				return usage("%s is no way to settle a key: want done, failed or retry", quote(args[0]))
			}
			return a.mark(c.Context(), args[0], state, args[1], o)
		},
	}
	a.windowFlag(c)
	c.Flags().StringVar(&o.note, "note", "", "`TEXT` that says why, for the history")
	c.Flags().BoolVar(&o.force, "force", false, "also a key that succeeded")
	return c
}

func (a *app) mark(ctx context.Context, name string, state ledger.State, key string, o *markOptions) error {
	l, rec, err := a.lookUp(ctx, key)
	if err != nil {
		return err
	}
	switch err := runner.CheckMark(rec, state, o.force); {
	case errors.Is(err, runner.ErrRunning):
		return busyFailure(rec, false, nil).unhinted()
	case errors.Is(err, runner.ErrSame):
		a.ui.note("key %s is not marked: %v", quote(key), err)
		return nil
	case errors.Is(err, runner.ErrDone):
		return usage("key %s is not marked: %v", quote(key), err).hint("--force does it all the same")
	case err != nil:
		return err
	}
	m := ledger.Mark{Expect: rec, State: state, RunID: newRunID(), Note: o.note, Owner: owner()}
	if state == ledger.Failed {
		m.ExitCode = 1
	}
	if err := l.Mark(ctx, rec.ID, m); err != nil {
		return err
	}
	a.ui.note("marked key %s %s", quote(key), name)
	return nil
}
