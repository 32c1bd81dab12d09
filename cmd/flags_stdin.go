package cmd

import (
	"os"

	"github.com/spf13/pflag"
)

// stdinFlag is -n, which gives the command /dev/null in place of the caller's stdin.
type stdinFlag struct{ noStdin bool }

func (o *stdinFlag) addTo(f *pflag.FlagSet) {
	f.BoolVarP(&o.noStdin, "no-stdin", "n", false, "give the command /dev/null as stdin, so a \"while read\" loop around the call keeps its input")
}

// stdinOf returns the stdin of the command: given, or /dev/null with -n. The file
// stays open until idem exits.
func (o *stdinFlag) stdinOf(given *os.File) (*os.File, error) {
	if !o.noStdin {
		return given, nil
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil, usage("-n: %v", err)
	}
	return f, nil
}
