package cmd

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// askFlags gives a command that asks about a call the flags of idem run, so that
// a line of idem run becomes a question with another first word. Only those of
// the named groups of its manual matter for the answer and are shown.
func (a *app) askFlags(c *cobra.Command, groups ...string) *runOptions {
	o := newRunOptions()
	f := c.Flags()
	a.callFlags(f, o)
	f.VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = true
		for _, g := range flagGroups {
			if slices.Contains(groups, g.title) && slices.Contains(g.flags, flag.Name) {
				flag.Hidden = false
			}
		}
	})
	return o
}

const askLong = `

It takes every flag of idem run, so that a call can be asked about as it is
written; those that do not change the answer are not listed.`
