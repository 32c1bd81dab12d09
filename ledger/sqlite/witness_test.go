package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"idem/ledger"
)

// left returns a copy of a ledger with two keys, as a kill would leave it. Most of its
// content is in the -wal.
func left(t *testing.T) string {
	t.Helper()
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, ledger.ID{Key: "first"}, "r0", nil, success)
	runs(t, l, theKey, "r1", []byte("out\n"), success)
	copied := cloned(t, place)
	if info, err := os.Stat(filepath.Join(copied, "ledger.db-wal")); err != nil || info.Size() == 0 {
		t.Fatalf("there is no log: %v", err)
	}
	return copied
}

// TestLostCommitsAreNoticed removes commits from the -wal. SQLite does not detect this, and
// its integrity_check returns ok.
func TestLostCommitsAreNoticed(t *testing.T) {
	wal := func(place string) string { return filepath.Join(place, "ledger.db-wal") }
	lastFrame := func(t *testing.T, place string) (int64, []byte) {
		log, err := os.ReadFile(wal(place))
		must(t, err)
		const frame = 24 + 4096
		return int64(len(log) - frame), log
	}
	for name, damage := range map[string]func(t *testing.T, place string){
		"-wal removed": func(t *testing.T, place string) { must(t, os.Remove(wal(place))) },
		"-wal emptied": func(t *testing.T, place string) { must(t, os.Truncate(wal(place), 0)) },
		"-wal without its last frame": func(t *testing.T, place string) {
			at, _ := lastFrame(t, place)
			must(t, os.Truncate(wal(place), at))
		},
		"a byte of the -wal": func(t *testing.T, place string) {
			at, log := lastFrame(t, place)
			log[at+1000] ^= 1
			must(t, os.WriteFile(wal(place), log, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			place := left(t)
			damage(t, place)
			before := look(t, place)
			for _, key := range []string{theKey.Key, "another"} {
				if err := runInNewHandle(t, place, ledger.ID{Namespace: "default", Key: key}); !errors.Is(err, ledger.ErrCorrupt) {
					t.Errorf("%s: got error %v", key, err)
				}
			}
			if after := look(t, place); after != before && name != "-wal removed" {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			// A user who accepts the loss can remove the witness by hand.
			must(t, os.Truncate(witnessFile(place), 0))
			must(t, runInNewHandle(t, place, ledger.ID{Key: "another"}))
		})
	}
}

// witnessFile returns the path of the file on which writers queue, for both kinds of locks.
func witnessFile(place string) string {
	path := filepath.Join(place, "locks")
	if _, err := os.Lstat(path); err != nil {
		path = filepath.Join(place, "locks.d", "writers")
	}
	return path
}

// runInNewHandle runs a key in a new handle. It does not close the handle, because closing
// it would change the ledger.
func runInNewHandle(t *testing.T, place string, id ledger.ID) error {
	t.Helper()
	l, err := Open(place)
	must(t, err)
	_, err = run(l, id, "again", nil, success)
	return err
}

// TestOlderDatabaseIsRefused restores a backup of ledger.db alone, next to the current
// locks.
func TestOlderDatabaseIsRefused(t *testing.T) {
	place := made(t)
	path := filepath.Join(place, "ledger.db")
	backup, err := os.ReadFile(path)
	must(t, err)
	l := opened(t, place)
	runs(t, l, ledger.ID{Key: "later"}, "r9", nil, success)
	must(t, l.Close())
	must(t, os.WriteFile(path, backup, 0o600))
	if err := runInNewHandle(t, place, ledger.ID{Key: "later"}); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("got error %v", err)
	}
}

func TestDamagedWitnessIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(b []byte) []byte
		want   error
	}{
		"a bit":          {func(b []byte) []byte { b[7] ^= 1; return b }, ledger.ErrCorrupt},
		"cut off":        {func(b []byte) []byte { return b[:9] }, ledger.ErrCorrupt},
		"emptied":        {func(b []byte) []byte { return nil }, nil},
		"a power cut":    {func(b []byte) []byte { return make([]byte, len(b)) }, nil},
		"as it was":      {func(b []byte) []byte { return b }, nil},
		"something else": {func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) }, ledger.ErrCorrupt},
	} {
		place := left(t)
		path := witnessFile(place)
		b, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, test.damage(b), 0o600))
		if err := runInNewHandle(t, place, ledger.ID{Key: "another"}); !errors.Is(err, test.want) {
			t.Errorf("%s: got error %v, want %v", name, err, test.want)
		}
	}
}

// TestKeyHiddenByDamageIsRefused damages a key's name in the table or in the index. Each of
// them is a way to find the key.
func TestKeyHiddenByDamageIsRefused(t *testing.T) {
	id := ledger.ID{Namespace: "default", Key: "a name that the ledger stores twice"}
	place := fresh(t)
	l := opened(t, place)
	runs(t, l, id, "r1", nil, success)
	must(t, l.Close())
	path := filepath.Join(place, "ledger.db")
	whole, err := os.ReadFile(path)
	must(t, err)
	if n := bytes.Count(whole, []byte(id.Key)); n != 2 {
		t.Fatalf("the database has the name %d times", n)
	}
	for from, n := 0, 0; n < 2; n++ {
		at := from + bytes.Index(whole[from:], []byte(id.Key))
		from = at + 1
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		must(t, os.WriteFile(path, damaged, 0o600))
		l := opened(t, place)
		rec, err := l.Get(t.Context(), id)
		if err == nil && rec.Phase() != ledger.PhaseSucceeded || err != nil && !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("got %+v, %v", rec, err)
		}
	}
}

// TestOutcomeIsRecordedWhateverIsMissing damages the ledger while a command runs.
func TestOutcomeIsRecordedWhateverIsMissing(t *testing.T) {
	place := made(t)
	l := opened(t, place)
	id := ledger.ID{Namespace: "default", Key: "running"}
	c, err := l.Claim(t.Context(), id)
	must(t, err)
	defer c.Release()
	e, err := c.Begin(t.Context(), ledger.Start{RunID: "r9", Fingerprint: "h1:f", MaxOutput: -1})
	must(t, err)
	must(t, os.WriteFile(witnessFile(place), []byte("not a witness"), 0o600))
	if _, err := e.Finish(t.Context(), success); err != nil {
		t.Error(err)
	}
	if rec, err := opened(t, place).Get(t.Context(), id); err != nil || rec.Phase() != ledger.PhaseSucceeded {
		t.Errorf("got %+v, %v", rec, err)
	}
	if err := runInNewHandle(t, place, ledger.ID{Key: "another"}); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("got error %v", err)
	}
}

// TestNumberOfCommitsIsStoredOnce checks that a ledger with no number of commits, or with
// two, is damaged.
func TestNumberOfCommitsIsStoredOnce(t *testing.T) {
	for _, damage := range []string{"delete from commits", "insert into commits values (1000)"} {
		place := left(t)
		l := opened(t, place)
		db, err := l.database(t.Context())
		must(t, err)
		_, err = db.ExecContext(t.Context(), damage)
		must(t, err)
		if err := runInNewHandle(t, place, theKey); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("%s: got error %v", damage, err)
		}
	}
}
