package cmd

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"idem/ledger/drivers"
)

// linkedVersion is set by release builds: -ldflags "-X idem/cmd.linkedVersion=v1.2.3".
var linkedVersion string

func version() string {
	if linkedVersion != "" {
		return linkedVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			with := ""
			if drivers.Shared {
				with = " postgres"
			}
			return a.print(fmt.Sprintf("idem %s %s/%s %s%s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version(), with))
		},
	}
}

// print writes the output of a command to stdout. A failed write is a failure of the
// command, as for cat(1).
func (a *app) print(s string) error {
	out := &stickyWriter{to: a.ui.stdout}
	_, _ = out.Write([]byte(s))
	return out.err
}

// stickyWriter keeps the first error of writing to stdout and returns none: cobra,
// which writes the help, would print the error and go on.
type stickyWriter struct {
	to  *os.File
	err error
}

func (w *stickyWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		if _, err := w.to.Write(p); err != nil {
			w.err = fail(exitError, "stdout: %v", err)
		}
	}
	return len(p), nil
}
