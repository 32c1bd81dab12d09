package cmd

import (
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// askFlags adds the flags of idem run to a command that asks about a call, so only
// the name of the command changes in a command line. Only the flags of the given
// topics change the answer, and only they are shown.
func (a *app) askFlags(c *cobra.Command, topics ...string) *runOptions {
	c.Annotations = map[string]string{asksAnnotation: "Flags of idem run that change the answer (see idem run --help)"}
	o := newRunOptions()
	f := c.Flags()
	a.callFlags(f, o)
	f.VisitAll(func(flag *pflag.Flag) {
		flag.Hidden = true
		for _, g := range flagGroups {
			if slices.Contains(topics, g.topic) && slices.Contains(g.flags, flag.Name) {
				flag.Hidden = false
			}
		}
	})
	return o
}

// questionsFlag adds the flag with which a command asks the probe and the verification.
func (o *runOptions) questionsFlag(c *cobra.Command) {
	c.Flags().BoolVar(&o.ask, "ask", false, "run the probe and the verification, where idem run would, for their answer; record nothing")
}

// asksAnnotation marks a command that has flags of idem run. Its help lists them by name
// only, below the value.
const asksAnnotation = "asks"

const askLong = `

It accepts every flag of idem run, so you can ask about a call as it is written.
Flags that do not change the answer are not listed.`
