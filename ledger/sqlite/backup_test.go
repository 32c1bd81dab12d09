package sqlite

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"idem/ledger"
)

func backedUp(t *testing.T, l *Ledger, o ledger.BackupOptions) ledger.Copied {
	t.Helper()
	c, err := l.Backup(context.Background(), o)
	must(t, err)
	return c
}

// A copy has the records, the outputs, the secret and the witness of the ledger.
func TestBackup(t *testing.T) {
	t.Parallel()
	l := opened(t, made(t))
	secret, err := l.Secret(context.Background())
	must(t, err)
	to := fresh(t)
	c := backedUp(t, l, ledger.BackupOptions{Dir: to})
	if c.Keys != 2 || c.Outputs != 1 || c.Bytes == 0 || len(c.Unended) != 0 {
		t.Errorf("got %+v, want 2 keys and 1 output", c)
	}
	copied := opened(t, to)
	if got, err := outputOf(copied, theKey, "r2"); err != nil || got != string(large) {
		t.Errorf("got an output of %d bytes, %v, want %d", len(got), err, len(large))
	}
	if got, err := copied.Secret(context.Background()); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("got the secret %x, %v, want %x", got, err, secret)
	}
	_, want, err := l.readWitness()
	must(t, err)
	if _, got, err := copied.readWitness(); err != nil || got != want {
		t.Errorf("got the witness %d, %v, want %d", got, err, want)
	}
	runs(t, copied, ledger.ID{Namespace: "default", Key: "new"}, "r9", nil, success)
	if names, err := namesIn(filepath.Dir(to)); err != nil || !slices.Equal(names, []string{filepath.Base(to)}) {
		t.Errorf("got %q, %v, want the copy alone", names, err)
	}
}

// A ledger that has lost commits is not copied: the copy would hide the loss.
func TestBackupLostCommits(t *testing.T) {
	t.Parallel()
	place := made(t)
	must(t, os.WriteFile(filepath.Join(place, "locks"), witnessOf(100), 0o600))
	to := fresh(t)
	_, err := opened(t, place).Backup(context.Background(), ledger.BackupOptions{Dir: to})
	if fault := (*ledger.Fault)(nil); !errors.As(err, &fault) || fault.Kind != ledger.FaultLostCommits {
		t.Errorf("got %v, want lost commits", err)
	}
	if names, err := namesIn(filepath.Dir(to)); err != nil || len(names) > 0 {
		t.Errorf("got %q, %v, want nothing left behind", names, err)
	}
}

// A copy without outputs has none of their bytes.
func TestBackupNoOutput(t *testing.T) {
	t.Parallel()
	l := opened(t, made(t))
	to := fresh(t)
	c := backedUp(t, l, ledger.BackupOptions{Dir: to, NoOutput: true})
	if c.Removed != 3 {
		t.Errorf("got %+v, want 3 outputs removed", c)
	}
	b, err := os.ReadFile(filepath.Join(to, "ledger.db"))
	must(t, err)
	if bytes.Contains(b, []byte("small\n")) {
		t.Error("the copy has the bytes of an output")
	}
	if files, err := namesIn(filepath.Join(to, "output")); err != nil || len(files) > 0 {
		t.Errorf("got the outputs %q, %v, want none", files, err)
	}
	rec, err := opened(t, to).Get(context.Background(), theKey)
	if err != nil || rec.Current.State != ledger.Succeeded || rec.Current.OutputRemoved.IsZero() {
		t.Errorf("got %+v, %v, want a success without its output", rec, err)
	}
}

// An output whose file is gone is removed in the copy.
func TestBackupOutputGone(t *testing.T) {
	t.Parallel()
	place := made(t)
	must(t, os.Remove(filepath.Join(place, "output", "r2")))
	to := fresh(t)
	c := backedUp(t, opened(t, place), ledger.BackupOptions{Dir: to})
	if c.Gone != 1 {
		t.Errorf("got %+v, want one output gone", c)
	}
	if _, err := outputOf(opened(t, to), theKey, "r2"); errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("got %v, want no damage", err)
	}
}

// A running key is named, and its output so far is copied.
func TestBackupRunning(t *testing.T) {
	t.Parallel()
	l := opened(t, made(t))
	id := ledger.ID{Namespace: "default", Key: "running"}
	c, err := l.Claim(context.Background(), id)
	must(t, err)
	defer c.Release()
	_, err = c.Begin(context.Background(), ledger.Start{RunID: "r8", Fingerprint: "h1:f", MaxOutput: -1})
	must(t, err)
	to := fresh(t)
	copied := backedUp(t, l, ledger.BackupOptions{Dir: to})
	if !slices.Equal(copied.Unended, []ledger.ID{id}) {
		t.Errorf("got %v, want the running key", copied.Unended)
	}
	rec, err := opened(t, to).Get(context.Background(), id)
	if err != nil || rec.Phase() != ledger.PhaseInterrupted {
		t.Errorf("got %v, %v, want it interrupted", rec.Phase(), err)
	}
}

// A tar ends with the witness.
func TestBackupTar(t *testing.T) {
	t.Parallel()
	l := opened(t, made(t))
	var b bytes.Buffer
	backedUp(t, l, ledger.BackupOptions{Writer: &b})
	var names []string
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "output/r2 README ledger.db locks" {
		t.Errorf("got the files %s", got)
	}
	file := filepath.Join(t.TempDir(), "b.tar")
	backedUp(t, l, ledger.BackupOptions{File: file})
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("got %v, %v, want a file of this user alone", info, err)
	}
	if _, err := l.Backup(context.Background(), ledger.BackupOptions{File: file}); !errors.As(err, new(*ledger.TargetError)) {
		t.Errorf("got %v, want that the file exists", err)
	}
}

// A copy refuses a place that has something else, and leaves it as it is.
func TestBackupTarget(t *testing.T) {
	t.Parallel()
	l := opened(t, made(t))
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	must(t, os.Mkdir(full, 0o700))
	must(t, os.WriteFile(filepath.Join(full, "precious"), nil, 0o600))
	for _, to := range []string{full, filepath.Join(full, "precious"), filepath.Join(dir, "no", "copy"), l.Place(), filepath.Join(l.Place(), "copy")} {
		if _, err := l.Backup(context.Background(), ledger.BackupOptions{Dir: to}); !errors.As(err, new(*ledger.TargetError)) {
			t.Errorf("%s: got %v, want it refused", to, err)
		}
	}
	// ... also a directory with the name of a part
	must(t, os.Rename(full, filepath.Join(dir, "copy.part")))
	if _, err := l.Backup(context.Background(), ledger.BackupOptions{Dir: filepath.Join(dir, "copy")}); !errors.As(err, new(*ledger.TargetError)) {
		t.Errorf("got %v, want it refused", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "copy.part", "precious")); err != nil {
		t.Error(err)
	}
	// A part that a kill left behind is removed.
	left := filepath.Join(dir, "next.part")
	must(t, os.Mkdir(left, 0o700))
	must(t, os.WriteFile(filepath.Join(left, partMark), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(left, "ledger.db"), []byte("half"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "next"), 0o755))
	backedUp(t, l, ledger.BackupOptions{Dir: filepath.Join(dir, "next")})
	if rec, err := opened(t, filepath.Join(dir, "next")).Get(context.Background(), theKey); err != nil || rec.Current.State != ledger.Succeeded {
		t.Errorf("got %v, %v, want a copy", rec, err)
	}
}
