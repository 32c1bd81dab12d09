package cmd

import "github.com/spf13/pflag"

// ttyFlag is --tty, which gives the command a pseudo-terminal.
type ttyFlag struct{ tty bool }

func (o *ttyFlag) addTo(f *pflag.FlagSet) {
	f.BoolVar(&o.tty, "tty", false, "give the command its own terminal")
}
