package cmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/ledger/drivers"
)

func (a *app) ledgerMoveCommand() *cobra.Command {
	const newPlace = "new place"
	var forgetOld, asJSON bool
	c := &cobra.Command{
		Use:   "move TO",
		Short: "Move the ledger while nothing runs",
		Long: `Move the ledger to the directory TO while nothing runs. Calls that still name
the old place are then refused (69).`,
		Example: `  idem ledger move /srv/idem
  idem --ledger /var/lib/idem ledger move --forget-old`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case !forgetOld:
				return placeArg(newPlace)(c, args)
			case len(args) > 0:
				return usage("%s --forget-old takes no %s", c.CommandPath(), newPlace).hint("name the old place with --ledger DIR")
			}
			return nil
		},
		RunE: tidily(func(c *cobra.Command, args []string) error {
			return a.aboutLedger(c, nil, func(ctx context.Context, place string) error {
				if forgetOld {
					return a.forgetOld(place, asJSON)
				}
				return a.move(ctx, place, args[0], asJSON)
			}, nil)
		}),
	}
	f := ledgerFlags(c)
	f.BoolVar(&forgetOld, "forget-old", false, "remove the mark from the old place, where the next call then begins an empty ledger")
	jsonFlag(f, &asJSON)
	return c
}

type moveView struct {
	copyView
	From string `json:"moved_from"`
}

// move moves the ledger in the directory place to the directory arg.
func (a *app) move(ctx context.Context, place, arg string, asJSON bool) error {
	to, err := filepath.Abs(arg)
	if err == nil {
		err = checkPath(flagName, arg, os.Getenv)
	}
	if err != nil {
		return err
	}
	c, err := drivers.Move(ctx, place, to, a.trustPlace)
	if err != nil {
		return a.copyFailure(err, place)
	}
	if asJSON {
		return a.printJSON(moveView{viewCopy(to, c), place})
	}
	if err := a.print("moved the ledger to " + a.shown(to) + "\n"); err != nil {
		return err
	}
	a.sayCopied(c, "the new place")
	a.ui.note("calls that name %s are refused from now on (69)", quote(place))
	return nil
}

// forgetOld removes the mark of a ledger that was moved.
func (a *app) forgetOld(place string, asJSON bool) error {
	to, err := drivers.ForgetMoved(place, a.trustPlace)
	if errors.Is(err, ledger.ErrNotFound) {
		return fail(exitError, "no ledger was moved away from %s", quote(place))
	}
	if err != nil {
		return a.copyFailure(err, place)
	}
	if asJSON {
		return a.printJSON(struct {
			Schema int    `json:"schema"`
			Ledger string `json:"ledger"`
			From   string `json:"moved_from"`
		}{1, to, place})
	}
	return a.print("calls that name " + a.shown(place) + " begin an empty ledger there\n")
}
