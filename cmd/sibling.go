package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"idem/ledger/drivers"
	"idem/proc"
)

// siblingName is the program with the shared ledger: idem with the build tag postgres.
const siblingName = "idem-postgres"

// siblingVar is set in the environment of a sibling, which removes it at once. So a
// sibling that calls idem with the same arguments, such as a wrong script of that name,
// does not become the sibling again.
const siblingVar = "IDEM_SIBLING"

// asksShared reports whether a call is for the sibling. env is IDEM_LEDGER. The scan does
// not know the flags: a word before the first "--" counts if it is a URL, and the value of
// --ledger or after the word "ledger". It may be the value of another flag, or a word of a
// command without a "--". The sibling then does what idem would do.
func asksShared(args []string, env string) bool {
	if drivers.IsShared(env) {
		return true
	}
	isURL, command := false, false // about the next word
	for _, word := range args {
		if word == "--" {
			return false
		}
		value, joined := strings.CutPrefix(word, "--ledger=")
		if (joined || isURL || command) && drivers.IsShared(value) {
			return true
		}
		isURL, command = word == "--ledger", command || word == "ledger"
	}
	return false
}

// becomeSibling replaces this process by the sibling, if the call is for it. The arguments,
// the environment of commands, the descriptors and the signals stay as they are.
// becomeSibling returns if the call is for this program, or if it finds no sibling. The call
// then fails where it opens the ledger, if it gets there.
func becomeSibling(args []string) {
	shared := asksShared(args, os.Getenv("IDEM_LEDGER"))
	if !shared && !drivers.Shared {
		return
	}
	_, again := os.LookupEnv(siblingVar)
	if again {
		_ = os.Unsetenv(siblingVar)
	}
	if drivers.Shared || again {
		return
	}
	if path, err := sibling(); err == nil {
		_ = os.Setenv(siblingVar, "1")
		_ = proc.Become(path, os.Args, false)
		_ = os.Unsetenv(siblingVar)
	}
}

// sibling returns the path of the sibling: next to the file of this program, whose links
// are resolved, or else in PATH. It is never this program itself.
func sibling() (string, error) {
	own, err := os.Executable()
	if err == nil {
		own, err = filepath.EvalSymlinks(own)
	}
	var self os.FileInfo
	if err == nil {
		self, err = os.Stat(own)
	}
	names := []string{siblingName}
	if err == nil {
		names = []string{filepath.Join(filepath.Dir(own), siblingName), siblingName}
	}
	for _, name := range names {
		var path string
		if path, err = proc.LookPath(name); err != nil {
			continue
		}
		if at, fault := os.Stat(path); fault != nil || self == nil || !os.SameFile(at, self) {
			return path, nil
		}
		err = errSelf
	}
	return "", err
}

var errSelf = errors.New("it is this program, which has no shared ledger")

// sharedFailure returns the failure of a call for a shared ledger in a program without
// its driver.
func sharedFailure(place string) *failure {
	const install = "install the program " + siblingName + " of the same release next to idem or in PATH"
	path, err := sibling()
	var start *proc.StartError
	switch {
	case err == nil: // becomeSibling has tried it
		return fail(exitLedger, "%s is not the program for shared ledgers", quote(path)).
			detail("it could not be executed, or has called idem again").hint(install)
	case errors.As(err, &start) && start.Code == proc.CannotRun:
		return fail(exitLedger, "the program %s, for shared ledgers, cannot be executed", quote(start.File)).
			detail("%v", start.Err).hint(install)
	}
	return fail(exitLedger, "the ledger %s requires the program %s, which is not installed", quote(publicURL(place)), siblingName).hint(install)
}
