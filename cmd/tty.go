package cmd

import "github.com/spf13/pflag"

// ttyFlag asks for a pseudo-terminal.
type ttyFlag struct{ tty bool }

func (o *ttyFlag) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.tty, "tty", false, "give the command a terminal of its own")
}

// check refuses what cannot go together. What was read for its digest could
// only be typed in, and a terminal is no way for bytes: it acts on some of them,
// and its lines are short.
func (o *ttyFlag) check(id *identity) error {
	if o.tty && id.hashStdin {
		return usage("--tty and --hash-stdin exclude each other: one is for input that is typed, the other for input that is there before").
			hint("--hash-file does the same for a file, and --hash-value for a text")
	}
	return nil
}
