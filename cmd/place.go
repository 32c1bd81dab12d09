package cmd

import (
	"os"
	"path/filepath"
	"strings"

	"idem/ledger/sqlite"
)

// placeHelp is where the ledger is, in words, for the help.
const placeHelp = "$STATE_DIRECTORY/idem under systemd, else /var/lib/idem for root, else $XDG_STATE_HOME/idem (~/.local/state/idem)"

// ledgerPlace returns the absolute directory of the ledger: what the user says,
// else a place that is this user's alone and survives a reboot. It is never the
// current directory nor below /tmp.
func ledgerPlace(flag string) (string, error) { return placeOf(flag, os.Getenv) }

// placeOf is ledgerPlace in an environment.
func placeOf(flag string, getenv func(string) string) (string, error) {
	if flag != "" {
		if strings.HasPrefix(flag, "postgres://") || strings.HasPrefix(flag, "postgresql://") {
			return "", usage("this idem has no PostgreSQL ledger").hint("name a directory with --ledger DIR or IDEM_LEDGER")
		}
		return filepath.Abs(flag)
	}
	// systemd gives a list for several StateDirectory= entries.
	if dir, _, _ := strings.Cut(getenv("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "idem"), nil
	}
	if os.Geteuid() == 0 {
		return "/var/lib/idem", nil
	}
	// The XDG base directories, in two lines: the library for them costs every
	// replay 0.05 ms. A relative XDG_STATE_HOME is to be ignored.
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "idem"), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "idem"), nil
	}
	return "", fail(exitLedger, "no place for the ledger: neither HOME nor XDG_STATE_HOME is set").
		hint("name one with --ledger DIR or IDEM_LEDGER")
}

func openLedger(flag string) (*sqlite.Ledger, error) {
	place, err := ledgerPlace(flag)
	if err != nil {
		return nil, err
	}
	return sqlite.Open(place)
}
