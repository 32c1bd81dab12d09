package cmd

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"idem/ledger/drivers"
)

func (a *app) ledgerPathCommand() *cobra.Command {
	var verbose, asJSON bool
	c := &cobra.Command{
		Use:   "path [DIR | URL]",
		Short: "Print where the ledger is",
		Long: `Print where the ledger is: its directory, or its URL without a password. It need
not exist. idem neither creates it nor connects to it.`,
		Example: `  idem ledger path
  idem ledger path -v`,
		Args: a.ledgerArg("DIR or URL"),
		RunE: func(c *cobra.Command, args []string) error {
			at := func(place string, exists *bool) error {
				v := placeView{Ledger: place, Rule: byArgument, Exists: exists}
				if len(args) == 0 {
					_, v.Rule, _ = choosePlace(a.ledger, os.Getenv)
				}
				return a.printPlace(v, verbose, asJSON)
			}
			return a.aboutLedger(c, args,
				func(_ context.Context, place string) error {
					exists := drivers.Found(place)
					return at(place, &exists)
				},
				func(_ context.Context, place string, _ drivers.ConnectOptions) error {
					return at(publicURL(place), nil)
				})
		},
	}
	f := ledgerFlags(c)
	f.BoolVarP(&verbose, "verbose", "v", false, "also say which flag, variable or rule chose it")
	jsonFlag(f, &asJSON)
	return c
}

// placeView is the JSON object of idem ledger path --json.
type placeView struct {
	Ledger string    `json:"ledger"`
	Rule   placeRule `json:"rule"`
	// Exists is null for a ledger at a URL, which the call does not connect to.
	Exists *bool `json:"exists"`
}

// printPlace prints the place of a ledger. It opens and creates nothing.
func (a *app) printPlace(v placeView, verbose, asJSON bool) error {
	show := func() error { return a.print(a.shown(v.Ledger) + "\n") }
	if asJSON {
		show = func() error { return a.printJSON(v) }
	}
	if err := show(); err != nil || !verbose {
		return err
	}
	if !asJSON {
		a.ui.verbose = true
		a.ui.note("%s", v.Rule.textOf(os.Getenv))
	}
	if v.Exists != nil && !*v.Exists {
		a.ui.note("there is no ledger yet")
		for _, h := range otherPlaces(v.Ledger) {
			a.ui.hint(hint{text: h})
		}
	}
	return nil
}

// text says in one line what has chosen the place of the ledger, without values of variables.
func (r placeRule) text() string {
	switch r {
	case byArgument:
		return "the argument names it"
	case byFlag, byVar:
		return string(r) + " names it"
	case byRoot:
		return "it is the usual place for root"
	}
	return "it is the usual place below " + string(r)
}

// textOf is text with the value of the variable, if the place is below one.
func (r placeRule) textOf(getenv func(string) string) string {
	switch r {
	case byState, byXDG, byHome:
		return r.text() + ", " + quote(getenv(string(r)))
	}
	return r.text()
}
