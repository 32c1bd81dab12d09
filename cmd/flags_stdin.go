package cmd

import (
	"os"

	"github.com/spf13/pflag"
)

// stdinFlag keeps the caller's stdin from the command.
type stdinFlag struct{ noStdin bool }

func (o *stdinFlag) flags(f *pflag.FlagSet) {
	f.BoolVarP(&o.noStdin, "no-stdin", "n", false, "give the command /dev/null as stdin, so a \"while read\" loop around the call keeps its input")
}

// stdinOf returns what the command is to read: given, unless it is to read
// nothing. The file stays open as long as this process.
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
