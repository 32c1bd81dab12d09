package sqlite

import (
	"archive/tar"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger"
)

var restoreAll = RestoreOptions{Replace: true, Confirm: func(ledger.Restored) error { return nil }}

func restored(t *testing.T, place, backup string, o RestoreOptions) ledger.Restored {
	t.Helper()
	r, err := Restore(context.Background(), place, backup, o)
	must(t, err)
	return r
}

func getIn(t *testing.T, l *Ledger, id ledger.ID) ledger.Record {
	t.Helper()
	r, err := l.Get(context.Background(), id)
	must(t, err)
	return r
}

// A backup is restored to an empty place from each of its forms.
func TestRestoreForms(t *testing.T) {
	t.Parallel()
	l := opened(t, made(t))
	dir, file := filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "b.tar")
	backedUp(t, l, ledger.BackupOptions{Dir: dir})
	backedUp(t, l, ledger.BackupOptions{File: file})
	stream, err := os.ReadFile(file)
	must(t, err)
	for name, restore := range map[string]func(place string) ledger.Restored{
		"dir":  func(place string) ledger.Restored { return restored(t, place, dir, RestoreOptions{}) },
		"file": func(place string) ledger.Restored { return restored(t, place, file, RestoreOptions{}) },
		"stream": func(place string) ledger.Restored {
			return restored(t, place, "-", RestoreOptions{Stream: bytes.NewReader(stream)})
		},
	} {
		place := filepath.Join(t.TempDir(), "new", "ledger")
		r := restore(place)
		if r.Keys != 2 || r.Outputs != 1 || r.Aside != "" {
			t.Errorf("%s: got %+v, want 2 keys and an output", name, r)
		}
		back := opened(t, place)
		if got, err := outputOf(back, theKey, "r2"); err != nil || got != string(large) {
			t.Errorf("%s: got %d bytes, %v, want the output", name, len(got), err)
		}
		runs(t, back, ledger.ID{Namespace: "default", Key: "new"}, "r9", nil, success)
	}
}

// A restore over a ledger names the keys that run again, moves the ledger aside, and no number
// goes back.
func TestRestoreReplaces(t *testing.T) {
	t.Parallel()
	place := made(t)
	l := opened(t, place)
	backup := filepath.Join(t.TempDir(), "b")
	backedUp(t, l, ledger.BackupOptions{Dir: backup})
	late, forgotten := ledger.ID{Namespace: "default", Key: "late"}, ledger.ID{Namespace: "default", Key: "forgotten"}
	runs(t, l, late, "l1", nil, failure)
	runs(t, l, late, "l2", nil, success)
	for range 3 {
		runs(t, l, forgotten, "f", nil, success)
		must(t, l.Forget(context.Background(), forgotten))
	}
	must(t, l.Forget(context.Background(), theKey))
	runs(t, l, theKey, "r5", nil, success)

	if _, err := Restore(context.Background(), place, backup, RestoreOptions{}); !errors.As(err, new(*ledger.TargetError)) {
		t.Errorf("got %v, want it refused without Replace", err)
	}
	no := restoreAll
	errNo := errors.New("no")
	no.Confirm = func(ledger.Restored) error { return errNo }
	if _, err := Restore(context.Background(), place, backup, no); !errors.Is(err, errNo) {
		t.Errorf("got %v, want it unconfirmed", err)
	}
	if rec := getIn(t, l, late); rec.Current.State != ledger.Succeeded {
		t.Errorf("got %v, want the ledger as it was", rec.Phase())
	}

	r := restored(t, place, backup, restoreAll)
	if len(r.Again) != 1 || r.Again[0].ID != late || r.Again[0].Backup != ledger.PhaseNone || r.Unread != nil {
		t.Errorf("got %+v, want the late key alone", r)
	}
	back := opened(t, place)
	for id, want := range map[ledger.ID]struct {
		phase             ledger.Phase
		generation, fence int64
	}{
		late:      {ledger.PhaseNone, 1, 2},
		forgotten: {ledger.PhaseNone, 4, 3},
		theKey:    {ledger.PhaseSucceeded, 2, 3},
	} {
		if rec := getIn(t, back, id); rec.Phase() != want.phase || rec.Generation != want.generation || rec.Fence != want.fence {
			t.Errorf("%s: got %v, generation %d, fence %d, want %+v", id.Key, rec.Phase(), rec.Generation, rec.Fence, want)
		}
	}
	if rec := getIn(t, opened(t, r.Aside), late); rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %v, want the earlier ledger aside", rec.Phase())
	}
	// A call that has the earlier ledger open writes nothing.
	if _, err := run(l, ledger.ID{Namespace: "default", Key: "x"}, "x1", nil, success); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("got %v, want that the ledger was replaced", err)
	}
}

// A ledger that a call uses is not replaced.
func TestRestoreInUse(t *testing.T) {
	t.Parallel()
	place := made(t)
	backup := filepath.Join(t.TempDir(), "b")
	l := opened(t, place)
	backedUp(t, l, ledger.BackupOptions{Dir: backup})
	c, err := l.Claim(context.Background(), theKey)
	must(t, err)
	if _, err := Restore(context.Background(), place, backup, restoreAll); !errors.As(err, new(*ledger.InUseError)) {
		t.Errorf("got %v, want that it is in use", err)
	}
	must(t, c.Release())
	restored(t, place, backup, restoreAll)
}

// A call that has opened the ledger and has the claim before the exchange starts nothing.
func TestRestoreLateClaim(t *testing.T) {
	t.Parallel()
	place := made(t)
	backup := filepath.Join(t.TempDir(), "b")
	l := opened(t, place)
	backedUp(t, l, ledger.BackupOptions{Dir: backup})
	restored(t, place, backup, restoreAll)
	c, err := l.Claim(context.Background(), ledger.ID{Namespace: "default", Key: "x"})
	must(t, err)
	defer c.Release()
	if _, err := c.Begin(context.Background(), ledger.Start{RunID: "x1"}); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("got %v, want that the ledger was replaced", err)
	}
}

// A damaged ledger is replaced if that is confirmed, and what can be read of it counts.
func TestRestoreDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(place string) error{
		"no database": func(place string) error { return os.Remove(filepath.Join(place, "ledger.db")) },
		"garbage": func(place string) error {
			return os.WriteFile(filepath.Join(place, "ledger.db"), bytes.Repeat([]byte("garbage "), 1024), 0o600)
		},
		"no locks": func(place string) error { return os.Remove(filepath.Join(place, "locks")) },
		"a lost commit": func(place string) error {
			return os.WriteFile(filepath.Join(place, "locks"), witnessOf(1000), 0o600)
		},
		"a row": func(place string) error {
			raw(t, place, "update records set checksum = checksum+1 where cast(key as text) = 'k'")
			return nil
		},
		"a page": func(place string) error {
			page := 0
			db, err := sql.Open("sqlite", filepath.Join(place, "ledger.db"))
			must(t, err)
			must(t, db.QueryRow("select rootpage from sqlite_schema where name = 'attempts'").Scan(&page))
			must(t, db.Close())
			f, err := os.OpenFile(filepath.Join(place, "ledger.db"), os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt(bytes.Repeat([]byte{0xff}, 4096), int64(page-1)*4096)
			return errors.Join(err, f.Close())
		},
		"the page of the commits": func(place string) error {
			raw(t, place, "delete from commits")
			return nil
		},
	} {
		place := made(t)
		backup := filepath.Join(t.TempDir(), "b")
		l, err := Open(place)
		must(t, err)
		backedUp(t, l, ledger.BackupOptions{Dir: backup})
		late := ledger.ID{Namespace: "default", Key: "late"}
		runs(t, l, late, "l1", nil, success)
		must(t, l.Close())
		must(t, damage(place))
		asked := false
		o := restoreAll
		o.Confirm = func(r ledger.Restored) error { asked = r.Unread != nil; return nil }
		r := restored(t, place, backup, o)
		if !asked {
			t.Errorf("%s: got no question", name)
		}
		if legible := strings.HasPrefix(name, "no locks") || name == "a lost commit"; legible && len(r.Again) != 1 {
			t.Errorf("%s: got %+v, want the late key", name, r.Again)
		}
		back := opened(t, place)
		if rec := getIn(t, back, theKey); rec.Phase() != ledger.PhaseSucceeded {
			t.Errorf("%s: got %v, want the backup", name, rec.Phase())
		}
		runs(t, back, ledger.ID{Namespace: "default", Key: "new"}, "r9", nil, success)
	}
}

// A step that ran in a later series than that of the backup gets no earlier number.
func TestRestoreSeries(t *testing.T) {
	t.Parallel()
	place := fresh(t)
	l := opened(t, place)
	parent, child := ledger.ID{Namespace: "default", Key: "p"}, ledger.ID{Namespace: "default", Key: "p/c"}
	step := func(runID string) {
		t.Helper()
		c, err := l.Claim(context.Background(), child)
		must(t, err)
		defer c.Release()
		e, err := c.Begin(context.Background(), ledger.Start{RunID: runID, Fingerprint: "h1:f", Origin: ledger.Origin{Parent: parent}})
		must(t, err)
		_, err = e.Finish(context.Background(), success)
		must(t, err)
	}
	runs(t, l, parent, "p1", nil, failure)
	step("c1")
	backup := filepath.Join(t.TempDir(), "b")
	backedUp(t, l, ledger.BackupOptions{Dir: backup})
	for i := range 3 {
		must(t, l.Forget(context.Background(), parent))
		runs(t, l, parent, "q"+string(rune('0'+i)), nil, failure)
		step("d" + string(rune('0'+i)))
	}
	was := getIn(t, l, child)
	must(t, l.Forget(context.Background(), parent)) // also deletes the row of the child
	restored(t, place, backup, restoreAll)
	back := opened(t, place)
	if rec := getIn(t, back, child); rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %+v, want the step as in the backup", rec)
	}
	must(t, back.Forget(context.Background(), child))
	if rec := getIn(t, back, child); rec.Generation <= 1 {
		t.Errorf("got %+v", rec)
	}
	must(t, back.Forget(context.Background(), parent))
	if rec := getIn(t, back, child); rec.Generation <= was.Generation || rec.Fence < was.Fence {
		t.Errorf("got generation %d, fence %d, want more than %d, %d", rec.Generation, rec.Fence, was.Generation, was.Fence)
	}
}

// A tar is cut at every place, and a restore of it makes a whole ledger or nothing.
func TestRestoreCut(t *testing.T) {
	t.Parallel()
	l := opened(t, made(t))
	var b bytes.Buffer
	backedUp(t, l, ledger.BackupOptions{Writer: &b})
	whole := b.Bytes()
	base := t.TempDir()
	for n := 0; n < len(whole)-1536; n += 4096 { // after that, only the end of the tar is missing
		place := filepath.Join(base, "ledger")
		_, err := Restore(context.Background(), place, "-", RestoreOptions{Stream: bytes.NewReader(whole[:n])})
		if !errors.As(err, new(*ledger.BackupError)) {
			t.Fatalf("cut at %d of %d: got %v, want it refused", n, len(whole), err)
		}
		if names, err := namesIn(base); err != nil || len(names) > 0 {
			t.Fatalf("cut at %d: got %q, %v, want nothing", n, names, err)
		}
	}
}

// A tar with other files than those of a ledger is refused, and nothing is written elsewhere.
func TestRestoreHostileTar(t *testing.T) {
	t.Parallel()
	for _, h := range []*tar.Header{
		{Name: "../escaped", Typeflag: tar.TypeReg},
		{Name: "/escaped", Typeflag: tar.TypeReg},
		{Name: "output/../../escaped", Typeflag: tar.TypeReg},
		{Name: "output/a/b", Typeflag: tar.TypeReg},
		{Name: "output/..", Typeflag: tar.TypeReg},
		{Name: "output", Typeflag: tar.TypeSymlink, Linkname: "/tmp"},
		{Name: "ledger.db", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
		{Name: "ledger.db", Typeflag: tar.TypeFifo},
		{Name: "secret", Typeflag: tar.TypeReg, Size: 1 << 40},
		{Name: "ledger.db", Typeflag: tar.TypeReg, Size: 1 << 60},
		{Name: "output/0", Typeflag: tar.TypeReg, Size: 1 << 60},
		{Name: "PART", Typeflag: tar.TypeReg},
	} {
		var b bytes.Buffer
		must(t, tar.NewWriter(&b).WriteHeader(h))
		base := t.TempDir()
		_, err := Restore(context.Background(), filepath.Join(base, "ledger"), "-", RestoreOptions{Stream: &b})
		if err == nil {
			t.Errorf("%s: got no error", h.Name)
		}
		if names, err := namesIn(base); err != nil || len(names) > 0 {
			t.Errorf("%s: got %q, %v, want nothing", h.Name, names, err)
		}
	}
}

// FuzzReceive checks that no tar writes outside of the part, or makes files of other names.
func FuzzReceive(f *testing.F) {
	place := made(f)
	l, err := Open(place)
	must(f, err)
	var b bytes.Buffer
	_, err = l.Backup(context.Background(), ledger.BackupOptions{Writer: &b})
	must(f, err)
	f.Add(b.Bytes())
	for _, name := range []string{"../x", "output/../x", "./locks", "ledger.db"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		must(f, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 1}))
		_, err := io.WriteString(w, "x")
		must(f, err)
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		base := t.TempDir()
		p, err := newPart(filepath.Join(base, "ledger"), false, "")
		must(t, err)
		_ = (&receiver{ctx: context.Background(), part: p, seen: map[string]bool{}}).fromTar(bytes.NewReader(content))
		if names, err := namesIn(base); err != nil || len(names) != 1 {
			t.Errorf("got %q, %v, want the part alone", names, err)
		}
		p.discard()
		if names, err := namesIn(base); err != nil || len(names) != 0 {
			t.Errorf("got %q, %v, want nothing", names, err)
		}
	})
}

// A success before an attempt that was never started counts. An unknown outcome that the backup
// has too does not.
func TestRestoreOfDeadBatch(t *testing.T) {
	lists(t)
	place, backup := fresh(t), filepath.Join(t.TempDir(), "b")
	b := newBatch(t, place)
	id, other := ledger.ID{Namespace: "default", Key: "late"}, ledger.ID{Namespace: "default", Key: "unknown"}
	b.begin(other, "u1").(ledger.Inheriting).Descriptors()
	backedUp(t, opened(t, place), ledger.BackupOptions{Dir: backup})
	runs(t, opened(t, place), id, "l1", nil, success)
	b.begin(id, "l2")
	b.die()
	r := restored(t, place, backup, restoreAll)
	if len(r.Again) != 1 || r.Again[0].RunID != "l1" || r.Again[0].Was != ledger.PhaseSucceeded {
		t.Errorf("got %+v, want the success alone", r.Again)
	}
}

// The directory of a ledger that a call uses is refused as a backup.
func TestRestoreFromLedgerInUse(t *testing.T) {
	t.Parallel()
	from := made(t)
	l := opened(t, from)
	c, err := l.Claim(context.Background(), theKey)
	must(t, err)
	if _, err := Restore(context.Background(), fresh(t), from, RestoreOptions{}); !errors.As(err, new(*ledger.TargetError)) {
		t.Errorf("got %v, want that it is in use", err)
	}
	must(t, c.Release())
	restored(t, fresh(t), from, RestoreOptions{})
}

// A directory in which no ledger was completed is replaced. A ledger that a call has created there
// since is not.
func TestRestoreOverUnfinished(t *testing.T) {
	t.Parallel()
	place, backup := fresh(t), made(t)
	must(t, os.Mkdir(place, 0o700))
	must(t, os.WriteFile(filepath.Join(place, "README"), nil, 0o600))
	old, err := openOld(context.Background(), place, false)
	must(t, err)
	runs(t, opened(t, place), theKey, "n1", nil, success)
	if _, err := old.quiet(context.Background()); !errors.Is(err, ledger.ErrChanged) {
		t.Errorf("got %v, want that there is a ledger now", err)
	}
	must(t, os.RemoveAll(place))
	must(t, os.Mkdir(place, 0o700))
	must(t, os.WriteFile(filepath.Join(place, "README"), nil, 0o600))
	restored(t, place, backup, restoreAll)
}
