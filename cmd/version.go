package cmd

import (
	"fmt"
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
		Args:  exactArgs(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			return a.print(fmt.Sprintf("idem %s %s/%s %s\n", version(), runtime.GOOS, runtime.GOARCH, runtime.Version()))
		},
	}
}

// print writes what was asked for to stdout. That it did not arrive is a
// failure, as of cat(1).
func (a *app) print(s string) error {
	if _, err := a.ui.stdout.WriteString(s); err != nil {
		return fail(exitNotFound, "stdout: %v", err)
	}
	return nil
}
