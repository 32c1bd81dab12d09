package cmd

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"idem/ledger/drivers"
)

// A release build sets these, since it has no stamp of git: -ldflags "-X idem/cmd.linkedVersion=1.2.3 ...".
var linkedVersion, linkedCommit, linkedDate string

func version() string { return readBuild().version }

// build is what a program knows of its sources. Any field but version may be empty.
type build struct {
	version, commit string
	date            string // of the commit
	dirty           string // "true" if the sources differ from the commit
}

func readBuild() build {
	if linkedVersion != "" { // scripts/release builds the sources of a commit, without changes
		return build{linkedVersion, linkedCommit, linkedDate, "false"}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	b := build{version: cmp.Or(info.Main.Version, "(devel)")}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			b.date = s.Value
		case "vcs.modified":
			b.dirty = s.Value
		}
	}
	return b
}

// String is what idem version prints of the sources, such as "0.1.0 (1234567, 2026-11-30)".
func (b build) String() string {
	if b.commit == "" {
		return b.version
	}
	date, _, _ := strings.Cut(b.date, "T")
	return fmt.Sprintf("%s (%.12s, %s)", b.version, b.commit, date)
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.printJSON(viewVersion())
			}
			with := ""
			if drivers.Shared {
				with = " postgres"
			}
			return a.print(fmt.Sprintf("idem %s %s/%s %s%s\n", readBuild(), runtime.GOOS, runtime.GOARCH, runtime.Version(), with))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// versionView is the JSON object of idem version. A field that the build did not record is null.
type versionView struct {
	Schema   int     `json:"schema"`
	Version  string  `json:"version"`
	Commit   *string `json:"commit"`
	Date     *string `json:"date"`  // of the commit
	Dirty    *bool   `json:"dirty"` // the sources differ from the commit
	Go       string  `json:"go"`
	Platform string  `json:"platform"`
	Shared   bool    `json:"shared"` // this program can use shared ledgers
}

func viewVersion() versionView {
	b := readBuild()
	v := versionView{
		Schema: metaSchema, Version: b.version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Shared: drivers.Shared,
	}
	if b.commit != "" {
		v.Commit, v.Date, v.Dirty = &b.commit, &b.date, ptr(b.dirty == "true")
	}
	return v
}
