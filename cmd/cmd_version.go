package cmd

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
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
			return a.print(fmt.Sprintf("idem %s %s/%s %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version()))
		},
	}
}

// print writes what was asked for to stdout. That it did not arrive is a
// failure, as of cat(1).
func (a *app) print(s string) error {
	asked := &stickyWriter{to: a.ui.stdout}
	_, _ = asked.Write([]byte(s))
	return asked.err
}

// stickyWriter keeps the first error of writing to stdout: cobra, which writes the
// help, would print it and go on.
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
