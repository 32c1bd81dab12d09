package cmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/drivers"
)

// ledgerHints adds hints on how to repair an error of the ledger, one line for each
// way. A line can be pasted or added to the call.
func (f *failure) ledgerHints() *failure {
	var fault *ledger.Fault
	var at *ledger.Error
	place, hint := "", ""
	if errors.As(f.err, &at) {
		place, hint = at.Place, at.Hint
	}
	if f.sharedHints(place, hint) {
		return f
	}
	switch err := f.err; {
	case errors.As(err, &fault):
		return f.faultHints(fault, place)
	case errors.Is(err, ledger.ErrCorrupt):
		return f.hintLedger("to see what is damaged", "check").hintRestore("docs/recovery.md has the ways without a backup")
	case errors.Is(err, ledger.ErrOldVersion):
		return f.hint("use the version of idem that wrote it")
	case errors.Is(err, ledger.ErrVersion):
		return f.hint("use the newer version of idem")
	case errors.Is(err, ledger.ErrFull):
		if strings.Contains(err.Error(), "ulimit -f") { // SQLite has the same code for a full disk
			return f.hint("raise the limit or free space, then call again")
		}
		return f.hint("free space, then call again")
	case place != "" && (errors.Is(err, ledger.ErrDenied) || errors.Is(err, ledger.ErrReadOnly)):
		return f.deniedHints(place)
	case errors.Is(err, ledger.ErrUnsafe), errors.Is(err, ledger.ErrForeign), errors.Is(err, ledger.ErrReadOnly), errors.Is(err, ledger.ErrDenied):
		return f.hint("choose another place with --ledger DIR or IDEM_LEDGER")
	}
	return f
}

// faultHints is ledgerHints for a fault of the ledger at place.
func (f *failure) faultHints(fault *ledger.Fault, place string) *failure {
	path := shellQuote(fault.Path)
	const alone = "if no other user has access to this machine or container"
	within := "--ledger " + shellQuote(filepath.Join(fault.Path, "idem"))
	switch fault.Kind {
	case ledger.FaultLink:
		return f.hintRun("if the link is intended, make it yours", "%schown -h %s %s", sudo(), userID, path)
	case ledger.FaultParentOpen:
		switch {
		case fault.Ours && !fault.AnyWrites:
			f.hintRun("", "chmod go-w %s", path)
		case fault.Ours:
			f.hintRun("", "chmod +t %s", path)
		default:
			f.hintRun("", "%schmod +t %s", sudo(), path)
		}
		return f.hintFlags(alone, "--trust-place")
	case ledger.FaultParentOwner:
		if own := ownPlace(); own != place {
			f.hintFlags("", "--ledger "+shellQuote(own))
		} else {
			f.hintRun("", "%schown %s %s", sudo(), userID, path)
		}
		return f.hintFlags(alone, "--trust-place")
	case ledger.FaultOwner:
		switch {
		case fault.Content == ledger.ContentLedger, fault.Content == "":
			return f.hintRun("if only this user is to use it from now on", "%schown -R %s %s", sudo(), userID, path)
		case fault.Content == ledger.ContentNone && (!fault.Writable || os.Geteuid() == 0):
			return f.hintRun("", "%s", install(fault.Path))
		case fault.Within == ledger.WithinNo:
			return f.hintRun("", "%s", install(filepath.Join(fault.Path, "idem"))).hintFlags("after that", within)
		case fault.Within == ledger.WithinTrusted:
			return f.hintFlags(alone, "--trust-place "+within)
		}
		return f.hintFlags("", within)
	case ledger.FaultOpen:
		if fault.Content == ledger.ContentOther && fault.Within == ledger.WithinYes {
			return f.hintFlags("", within)
		}
		return f.hintRun("", "chmod 0700 %s", path)
	case ledger.FaultSecondName:
		return f.hintRun("while no command runs, remove all of its names but one; to list them", "find / -xdev -samefile %s", path)
	case ledger.FaultReplaced:
		return f.hint("no command was started; call again when the ledger is back at its place")
	case ledger.FaultNoLocks:
		restore := "(umask 077; touch " + path + ")"
		if filepath.Base(fault.Path) == "locks.d" {
			restore = "mkdir -m 700 " + path
		}
		return f.hintRun("make sure that no command runs (see docs/recovery.md), then", "%s", restore)
	case ledger.FaultMutex:
		return f.detail("no record is affected").
			hintRun("while no command with a mutex runs, make all mutexes free", "sqlite3 %s 'delete from mutexes'", path)
	case ledger.FaultKept:
		kept := filepath.Join(filepath.Dir(filepath.Dir(fault.Path)), filepath.Base(fault.Path)+".damaged")
		return f.detail("the file may be legible, and say how the command ended").
			hintRun("then, so that the key counts as interrupted and can be settled", "mv %s %s", path, shellQuote(kept))
	case ledger.FaultOutputGone:
		return f.detail("the record is intact, and the command does not run again").
			hintLedger("to record that outputs are gone, so that replays go on without them", "repair").
			hint("%s", replayNone)
	case ledger.FaultOutput:
		f.detail("the record is intact, and the command does not run again")
		if filepath.Base(filepath.Dir(fault.Path)) == "output" {
			f.hintRun("if the output may be lost, move it away, then call idem ledger repair", "mv %s %s", path, shellQuote(filepath.Join(place, filepath.Base(fault.Path)+".damaged")))
		}
		return f.hint("%s", replayNone)
	case ledger.FaultMoved:
		if fault.Moved == "" {
			return f.hint("read its mark: %s", fault.Path)
		}
		return f.movedHints(filepath.Dir(fault.Path), fault.Moved)
	case ledger.FaultMoveLost:
		return f.detail("nothing was removed at the old place").
			hint("if its disk is not mounted, mount it, and make the same move again; see docs/recovery.md")
	case ledger.FaultUnfinished:
		if fault.Moved == "" {
			return f.hint("make the copy again, at the same place")
		}
		return f.hintRun("to complete it", "idem --ledger %s ledger move %s", shellQuote(fault.Moved), shellQuote(filepath.Dir(fault.Path)))
	case ledger.FaultNoDatabase:
		return f.hintRestore("without a backup, all keys are lost and run again; see docs/recovery.md")
	case ledger.FaultLostCommits:
		return f.detail("ledger.db-wal was removed or damaged, or ledger.db is an older copy").
			hintLedger("to see what else is damaged", "check").
			hintRestore("without a backup, the lost keys run again; see docs/recovery.md")
	case ledger.FaultBadWitness:
		return f.hintLedger("to see what else is damaged", "check").
			hintRestore("docs/recovery.md has the way without a backup")
	}
	return f
}

// movedHints is faultHints for a ledger that was moved from one directory to another one. A call
// at a new place without a ledger would begin an empty one, so no line to paste leads there.
func (f *failure) movedHints(from, to string) *failure {
	switch {
	case drivers.Found(from):
		return f.detail("the move was cut off").
			hintRun("to complete it", "idem --ledger %s ledger move %s", shellQuote(from), shellQuote(to))
	case drivers.Found(to):
		return f.hintFlags("", "--ledger "+shellQuote(to))
	}
	return f.detail("there is no ledger now").
		hint("if its disk is not mounted, mount it, and call again; see docs/recovery.md")
}

// deniedHints is ledgerHints for a ledger that this user may not read, write or
// create.
func (f *failure) deniedHints(place string) *failure {
	info, err := os.Lstat(place)
	switch {
	case errors.Is(unix.Access(place, unix.W_OK), unix.EROFS), errors.Is(f.err, unix.EROFS):
		return f.hint("choose another place with --ledger DIR or IDEM_LEDGER")
	case errors.Is(err, fs.ErrNotExist):
		return f.hintRun("", "%s", install(place))
	case err == nil && info.Mode().Perm()&0o700 != 0o700, err == nil && os.Geteuid() != 0:
		return f.hintRun("", "chmod -R u+rwX %s", shellQuote(place))
	}
	if own := ownPlace(); own != place {
		return f.hintFlags("", "--ledger "+shellQuote(own))
	}
	return f.hint("choose another place with --ledger DIR or IDEM_LEDGER")
}

// replayNone is about a call whose recorded output cannot be replayed.
const replayNone = "idem run with --replay none replays the exit status alone"

// hintRestore adds the hint for a user with a backup, and says what another one has to know. A
// line to paste that gives up records is in docs/recovery.md only: it makes keys run again.
func (f *failure) hintRestore(without string) *failure {
	return f.addHint(hint{text: "to restore a backup, while nothing runs", how: "restore", words: []string{"BACKUP", "--replace"}}).hint("%s", without)
}

// userID is the ID of this user, as a word for a shell. A container may have no name
// for the user.
const userID = `"$(id -u)"`

// sudo returns the prefix of a command that only root may run, "" for root.
func sudo() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return "sudo "
}

// install returns the command that creates a directory for this user, or makes the
// user the owner of an existing one.
func install(dir string) string {
	return sudo() + "install -d -m 0700 -o " + userID + " " + shellQuote(dir)
}

// ownPlace returns the default place of this user's ledger outside systemd, "" if
// there is none.
func ownPlace() string {
	place, err := placeOf("", func(name string) string {
		switch name {
		case "IDEM_LEDGER", "STATE_DIRECTORY":
			return ""
		}
		return os.Getenv(name)
	})
	if err != nil {
		return ""
	}
	return place
}
