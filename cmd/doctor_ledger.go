package cmd

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"idem/ledger"
	"idem/ledger/drivers"
)

// checkOthers names the other ledgers of this host that the user may mean.
func (d *doctor) checkOthers(_ context.Context, name string) {
	others := otherPlaces(d.place)
	for _, text := range others {
		d.Add(ledger.LevelNote, name, "%s", text)
	}
	if len(others) == 0 {
		d.Add(ledger.LevelOK, name, "no other usual place of this host has a ledger")
	}
}

// checkLedger makes the check of idem ledger check --quick, and opens the ledger.
func (d *doctor) checkLedger(ctx context.Context, name string) {
	var r ledger.Report
	var err error
	var connect drivers.ConnectOptions
	switch {
	case d.place == "":
		return
	case d.inDirectory():
		r, err = drivers.CheckDir(ctx, d.place, d.trustPlace, true)
	default:
		if connect, err = d.connection(d.place); err == nil {
			r, err = drivers.Check(ctx, d.place, connect)
		}
	}
	d.addHints(&r, d.place)
	d.Lines = append(d.Lines, r.Lines...)
	if errors.Is(err, ledger.ErrMissing) {
		d.Add(ledger.LevelNote, name, "there is none yet: nothing has been recorded there")
		return
	}
	if err == nil && r.Sound() {
		d.store, err = drivers.Open(d.place, drivers.Options{
			TrustPlace: d.trustPlace, Look: true, LocalBase: connect.LocalBase, FromFlag: connect.FromFlag, ConnectTimeout: connect.ConnectTimeout,
		})
	}
	if err != nil {
		d.fails(name, err)
	}
}

// The ages and numbers from which on doctor warns.
const (
	longRun      = 24 * time.Hour
	clockAhead   = time.Minute // of a record that another host or an earlier clock has dated
	muchOutput   = 1 << 30
	manyOutputs  = 50_000 // files that are looked at
	shownNumbers = 5      // keys that -v shows
)

// checkKeys looks for keys that wait for a person.
func (d *doctor) checkKeys(ctx context.Context, name string) {
	if d.store == nil {
		return
	}
	var interrupted, long []ledger.Record
	for rec, err := range d.store.List(ctx, ledger.Filter{Phases: ledger.Phases{ledger.PhaseRunning, ledger.PhaseInterrupted}}) {
		switch {
		case err != nil:
			d.fails(name, err)
			return
		case rec.Phase() == ledger.PhaseInterrupted:
			interrupted = append(interrupted, rec)
		case d.now().Sub(rec.Current.Started) > longRun:
			long = append(long, rec)
		}
	}
	if len(interrupted) > 0 {
		d.Add(ledger.LevelWarning, name, "%s interrupted, the first %s: idem does not know whether the work was done%s",
			pluralVerb(len(interrupted), "key is", "keys are"), d.since(interrupted), d.names(interrupted)).
			Hint = "to see them: " + d.listLine("interrupted")
	}
	if len(long) > 0 {
		d.Add(ledger.LevelNote, name, "%s for more than a day, the first %s%s", pluralVerb(len(long), "key has run", "keys have run"), d.since(long), d.names(long)).
			Hint = "to see them: " + d.listLine("running")
	}
	if len(interrupted)+len(long) == 0 {
		d.Add(ledger.LevelOK, name, "none is interrupted, none has run for more than a day")
	}
}

// since says when the first of the attempts began. A List yields the latest first.
func (d *doctor) since(records []ledger.Record) string {
	return "since " + stamp(records[len(records)-1].Current.Started)
}

// names returns some keys for -v.
func (d *doctor) names(records []ledger.Record) string {
	if !d.verbose {
		return ""
	}
	text := ": "
	for i, rec := range records[:min(len(records), shownNumbers)] {
		if i > 0 {
			text += ", "
		}
		text += keyShown(rec)
	}
	if len(records) > shownNumbers {
		text += ", ..."
	}
	return text
}

// listLine returns the command line that lists the keys in a state.
func (d *doctor) listLine(state string) string {
	words := append([]string{"idem", "list", "--state", state}, d.ui.ledgerPath().flags(defaultNamespace)...)
	return shellLine(words)
}

// checkClock looks for attempts from the future: the clock of this host was or is wrong.
func (d *doctor) checkClock(ctx context.Context, name string) {
	if d.store == nil {
		return
	}
	records, err := ledger.Collect(d.store.List(ctx, ledger.Filter{Since: d.now().Add(clockAhead), Limit: shownNumbers + 1}))
	switch {
	case err != nil:
		d.fails(name, err)
	case len(records) > 0:
		d.Add(ledger.LevelWarning, name, "a key has an attempt that begins in the future, at %s%s", stamp(records[0].Current.Started), d.names(records)).
			Hint = "compare the clock with that of another host: windows and --ttl depend on it"
	default:
		d.Add(ledger.LevelOK, name, "no attempt begins in the future")
	}
}

// checkOutputs adds up the files of outputs.
func (d *doctor) checkOutputs(_ context.Context, name string) {
	if d.store == nil || !d.inDirectory() {
		return
	}
	n, bytes, more, err := sizeOf(filepath.Join(d.place, "output"))
	if err != nil {
		d.Add(ledger.LevelFault, name, "the files of outputs cannot be listed: %v", err)
		return
	}
	atLeast := ""
	if more {
		atLeast = "at least "
	}
	line := d.Add(ledger.LevelOK, name, "%s%s with %s", atLeast, plural(n, "file"), sizeText(bytes))
	if more || bytes >= muchOutput {
		line.Level, line.Hint = ledger.LevelNote, "to see what can be removed: idem gc -n"
	}
}

// sizeOf returns the number and the size in bytes of the files in a directory. It looks at some
// of many; more reports that not all were looked at.
func sizeOf(dir string) (n int, bytes int64, more bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return 0, 0, false, err
	}
	defer f.Close()
	for n < manyOutputs {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			if info, err := e.Info(); err == nil { // else removed since
				n, bytes = n+1, bytes+info.Size()
			}
		}
		if errors.Is(err, io.EOF) {
			return n, bytes, false, nil
		}
		if err != nil {
			return n, bytes, false, err
		}
	}
	return n, bytes, true, nil
}

// shortLived returns why a ledger does not last on a kind of file system, or "".
func shortLived(kind string) string {
	switch kind {
	case "tmpfs", "ramfs":
		return "a file system in memory: the ledger is lost when the machine starts again, and keys then run again"
	case "overlay":
		return "the layer of a container: the ledger is lost with the container, and keys then run again"
	}
	return ""
}

// checkDisk looks at the file system of the ledger, or at that of the nearest directory above.
func (d *doctor) checkDisk(_ context.Context, name string) {
	if !d.inDirectory() {
		return
	}
	dir := d.place
	for dir != "/" {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	disk, err := diskOf(dir)
	if err != nil {
		d.Add(ledger.LevelWarning, name, "the file system of the ledger cannot be examined: %v", err)
		return
	}
	line := d.Add(ledger.LevelOK, name, "%s free on %s", sizeText(disk.free), disk.kind)
	switch {
	case disk.free < 1<<20:
		line.Level, line.Hint = ledger.LevelFault, "free space: without it, idem refuses to start commands (69)"
	case disk.free < 64<<20:
		line.Level, line.Hint = ledger.LevelWarning, "free space, such as by idem gc"
	}
	if disk.files > 0 && disk.freeFiles < 1000 {
		d.Add(ledger.LevelWarning, name, "only %d more files can be created on the file system", disk.freeFiles)
	}
	if text := shortLived(disk.kind); text != "" {
		d.Add(ledger.LevelWarning, name, "the ledger is on %s", text).Hint = "name a directory on a disk with --ledger DIR or IDEM_LEDGER"
	}
}

// disk is what the system says of a file system.
type disk struct {
	kind             string
	free             int64 // bytes that this user may still write
	files, freeFiles uint64
}

// checkEnvironment names the variables of idem that are set. Their values may be secret.
func (d *doctor) checkEnvironment(_ context.Context, name string) {
	public := []string{"IDEM_LEDGER", "IDEM_NAMESPACE", trustVar, disableVar, "IDEM_CI"}
	text := ""
	for _, kv := range slices.Sorted(slices.Values(os.Environ())) {
		variable, value := cutVariable(kv)
		if variable == "" {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += variable
		if d.verbose && slices.Contains(public, variable) {
			text += "=" + quote(publicURL(value))
		}
	}
	if text == "" {
		text = "no variable of idem is set"
	}
	d.Add(ledger.LevelOK, name, "%s", text)
	if disabled() {
		d.Add(ledger.LevelWarning, name, "%s=1: idem run only runs the command, and records nothing", disableVar).Hint = "unset " + disableVar
	}
	if os.Getenv("IDEM_RUN_ID") != "" {
		d.Add(ledger.LevelNote, name, "this call is inside of an idem run, which has set some of them")
	}
}
