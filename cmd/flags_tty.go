package cmd

import "github.com/spf13/pflag"

// ttyFlag asks for a pseudo-terminal.
type ttyFlag struct{ tty bool }

func (o *ttyFlag) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.tty, "tty", false, "give the command its own terminal")
}
