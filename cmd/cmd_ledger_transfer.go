package cmd

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"idem/ledger"
	"idem/ledger/drivers"
	"idem/transfer"
)

// transferable opens the ledger of an export or an import.
func (a *app) transferable() (ledger.Store, error) {
	l, err := a.openLedger()
	if err != nil {
		return nil, err
	}
	if _, ok := l.(ledger.Transferring); !ok {
		return nil, usage("the records of this ledger cannot be exported or imported")
	}
	return l, nil
}

// notAURL refuses an argument that was meant to name the ledger.
func notAURL(how, arg string) error {
	switch {
	case arg == "":
		return usage("an argument of idem ledger %s is empty: a variable may be unset", how)
	case drivers.IsShared(arg):
		return usage("idem ledger %s takes no URL", how).hint("name the ledger with --ledger or IDEM_LEDGER")
	}
	return nil
}

// transferFailure returns the failure of a file that cannot be imported. name is that of the file,
// "" for stdin.
func transferFailure(err error, name string) error {
	var bad *transfer.Error
	if !errors.As(err, &bad) {
		return err
	}
	code := exitMismatch
	if bad.Foreign {
		code = exitUsage
	}
	from := "stdin"
	if name != "" {
		from = quote(name)
	}
	return fail(code, "%s, %v", from, err)
}

// secretly refuses to write a secret where other users can read it.
func secretly(to *os.File) error {
	info, err := to.Stat()
	if err != nil {
		return fail(exitError, "stdout: %v", err)
	}
	mode := info.Mode()
	f := usage("--with-secret writes only to a pipe or to a file of yours with mode 0600")
	named := mode.IsRegular() || mode&os.ModeNamedPipe != 0 && !unnamedPipe(to, info)
	switch s, ok := info.Sys().(*syscall.Stat_t); {
	case named && ok && int(s.Uid) != os.Geteuid():
		f.detail("stdout is a file of another user")
	case named && mode.Perm()&0o077 != 0:
		f.detail("stdout is a file with mode %04o", mode.Perm())
	case named || mode&(os.ModeNamedPipe|os.ModeSocket) != 0:
		return nil
	default:
		return f.detail("stdout is neither")
	}
	if mode.IsRegular() {
		f.hint("make the file with: install -m 600 /dev/null FILE")
	}
	return f
}

// unnamedPipe reports whether a pipe has no path, so no other user can open it.
func unnamedPipe(pipe *os.File, info os.FileInfo) bool {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink == 0 { // macOS
		return true
	}
	name, err := os.Readlink(fmt.Sprint("/proc/self/fd/", pipe.Fd()))
	return err == nil && strings.HasPrefix(name, "pipe:[")
}
