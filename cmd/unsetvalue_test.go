package cmd

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestUnsetValues checks each flag of each command that takes a value. The word "--" is
// refused as its value unless it follows "=".
func TestUnsetValues(t *testing.T) {
	t.Setenv("IDEM_DISABLE", "")
	checked := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		words := strings.Fields(c.CommandPath())[1:]
		visit := func(f *pflag.Flag) {
			if f.NoOptDefVal != "" {
				return
			}
			checked++
			a := newApp(slices.Concat(words, []string{"--" + f.Name, "--", "x"}))
			err := a.checkValues(a.command(""))
			if want := "--" + f.Name + " has no value: a variable may be unset"; err == nil || err.Error() != want {
				t.Errorf("%q: got %v, want %s", a.args, err, want)
			}
			a.args = slices.Concat(words, []string{"--" + f.Name + "=--", "--", "x"})
			if err := a.checkValues(a.command("")); err != nil {
				t.Errorf("%q: got %v, want no error", a.args, err)
			}
		}
		c.InheritedFlags().VisitAll(visit)
		c.LocalFlags().VisitAll(visit)
	}
	walk(newApp(nil).command(""))
	if checked < 200 {
		t.Errorf("got %d flags, want at least 200", checked)
	}
}
