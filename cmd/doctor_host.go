package cmd

import (
	"context"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/drivers"
)

// cutVariable returns the name and the value of an environment entry, "" for one that is not
// of idem.
func cutVariable(kv string) (name, value string) {
	name, value, _ = strings.Cut(kv, "=")
	if !strings.HasPrefix(name, "IDEM_") || !isName(name, "") {
		return "", ""
	}
	return name, value
}

// checkVersion says which program this is.
func (d *doctor) checkVersion(_ context.Context, name string) {
	d.Add(ledger.LevelOK, name, "idem %s, %s, %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if drivers.Shared {
		return
	}
	if path, err := sibling(); err == nil {
		d.Add(ledger.LevelOK, name, "the program for shared ledgers is %s", path)
	} else {
		d.Add(ledger.LevelOK, name, "the program for shared ledgers, %s, is not installed", siblingName)
	}
}

// Limits below which commands or idem may fail.
const (
	fewFiles  = 64
	smallFile = 1 << 30
)

// checkLimits looks at the limits that a command inherits.
func (d *doctor) checkLimits(_ context.Context, name string) {
	var files, size unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil || unix.Getrlimit(unix.RLIMIT_FSIZE, &size) != nil {
		return
	}
	sound := true
	if files.Cur < fewFiles {
		sound = false
		d.Add(ledger.LevelWarning, name, "only %d files can be open at a time (ulimit -n)", files.Cur).Hint = "ulimit -n 1024"
	}
	if size.Cur < smallFile {
		sound = false
		d.Add(ledger.LevelWarning, name, "files are limited to %s (ulimit -f), the ledger too", sizeText(int64(size.Cur))).Hint = "ulimit -f unlimited"
	}
	if sound {
		d.Add(ledger.LevelOK, name, "the limits on files are no obstacle")
	}
}

// checkZone looks for a time zone that is not known. The zones are a part of idem.
func (d *doctor) checkZone(_ context.Context, name string) {
	zone := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if _, err := time.LoadLocation(zone); zone != "" && err != nil {
		d.Add(ledger.LevelWarning, name, "TZ is not the name of a zone of the tz database").Hint = "set TZ to a name such as Europe/Berlin, or give --tz"
		return
	}
	if zone == "" {
		zone = "the zone of the system"
	}
	d.Add(ledger.LevelOK, name, "%s is known", zone)
}

// bashCompletion are the usual files of the package bash-completion.
var bashCompletion = []string{
	"/usr/share/bash-completion/bash_completion", "/usr/local/share/bash-completion/bash_completion",
	"/opt/homebrew/share/bash-completion/bash_completion", "/run/current-system/sw/share/bash-completion/bash_completion",
}

// checkPrograms looks for programs that idem uses.
func (d *doctor) checkPrograms(_ context.Context, name string) {
	if isCommand("sh") {
		d.Add(ledger.LevelOK, name, "sh, for hooks and probes, is there")
	} else {
		d.Add(ledger.LevelWarning, name, "there is no sh in PATH: hooks, probes and verifications cannot run")
	}
	if !isCommand("bash") {
		return
	}
	for _, file := range bashCompletion {
		if _, err := os.Stat(file); err == nil {
			d.Add(ledger.LevelOK, name, "bash-completion is there")
			return
		}
	}
	d.Add(ledger.LevelNote, name, "without the package bash-completion, bash does not complete the words of the command that idem runs")
}
