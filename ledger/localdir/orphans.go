package localdir

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"idem/ledger"
)

// unseenAge is how much older an orphan has to be where the system does not show which files are
// open.
const unseenAge = 24 * time.Hour

// Orphans returns the files of outputs in a subdirectory that are older than a time and that no process
// has open. It leaves out those that needed deletes from its map of run IDs. unknown are the paths of
// files that cannot be judged.
func (d *Dir) Orphans(sub string, before time.Time, needed func(map[string]Entry) error) (orphans []ledger.Orphan, unknown []string, err error) {
	old := map[string]Entry{}
	path := func(name string) string { return d.File(filepath.Join(sub, name)) }
	err = d.Entries(sub, func(e Entry) {
		began, isRun := ledger.RunTime(e.Name)
		switch {
		case !e.Regular, !isRun && e.Changed.Before(before):
			unknown = append(unknown, path(e.Name))
		case isRun && began.Before(before) && e.Changed.Before(before):
			old[e.Name] = e
		}
	})
	if err == nil && len(old) > 0 {
		err = needed(old)
	}
	if err != nil {
		return nil, nil, err
	}
	for runID, e := range old {
		switch open, err := d.Opened(filepath.Join(sub, runID)); {
		case errors.Is(err, errors.ErrUnsupported) && e.Changed.After(before.Add(-unseenAge)):
		case errors.Is(err, errors.ErrUnsupported), err == nil && !open:
			orphans = append(orphans, ledger.Orphan{RunID: runID, Bytes: e.Size})
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			unknown = append(unknown, path(runID))
		}
	}
	slices.SortFunc(orphans, func(a, b ledger.Orphan) int { return cmp.Compare(a.RunID, b.RunID) })
	slices.Sort(unknown)
	return orphans, unknown, nil
}
