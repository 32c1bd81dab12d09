package sqlite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

// opens opens the ledger at a path, reads a key and claims it. It returns the first error.
func opens(t *testing.T, place string) error {
	t.Helper()
	l, err := Open(place)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := l.Get(t.Context(), theKey); err != nil {
		return err
	}
	c, err := l.Claim(t.Context(), theKey)
	if err != nil {
		return err
	}
	return c.Release()
}

func mkdir(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(path, 0o700))
	must(t, os.Chmod(path, mode))
}

// stuffed creates a directory with a file in it.
func stuffed(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	mkdir(t, path, 0o700)
	must(t, os.WriteFile(path+"/file", nil, 0o600))
	must(t, os.Chmod(path, mode))
}

// TestForeignFilesInAnOpenDirectoryAreRefused puts files into a directory that is open to
// other users, before and between the checks of a handle. They are not taken for a ledger.
func TestForeignFilesInAnOpenDirectoryAreRefused(t *testing.T) {
	for name, when := range map[string]func(l *Ledger){
		"opened":  func(*Ledger) {},
		"read":    func(l *Ledger) { _, _ = l.Get(t.Context(), theKey) },
		"claimed": func(l *Ledger) { _ = l.dir.Make() },
	} {
		t.Run(name, func(t *testing.T) {
			place := fresh(t)
			mkdir(t, place, 0o777)
			theirs := made(t)
			l := opened(t, place)
			when(l)
			must(t, os.Chmod(place, 0o777))
			must(t, os.CopyFS(place, os.DirFS(theirs)))
			before := look(t, place)
			_, got := l.Get(t.Context(), theKey)
			_, ran := run(l, theKey, "r9", nil, success)
			_, again := Open(place)
			for _, err := range []error{got, ran, again} {
				if !errors.Is(err, ledger.ErrUnsafe) {
					t.Errorf("got error %v", err)
				}
			}
			if after := look(t, place); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}

// TestFilesOfAnotherUserAreNoLedger uses files that another user may have put there before
// the directory was closed to other users.
func TestFilesOfAnotherUserAreNoLedger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	for _, name := range []string{"ledger.db", "ledger.db-wal", "locks", "init.lock", "output", "secret"} {
		theirs := made(t)
		place := fresh(t)
		if name == "ledger.db" || name == "locks" {
			must(t, os.CopyFS(place, os.DirFS(theirs)))
		} else { // a file without a ledger
			mkdir(t, place, 0o700)
			must(t, os.WriteFile(filepath.Join(place, name), nil, 0o600))
		}
		must(t, os.Chmod(place, 0o700))
		must(t, os.Chown(filepath.Join(place, name), 65534, 65534))
		before := look(t, place)
		if err := opens(t, place); !errors.Is(err, ledger.ErrUnsafe) {
			t.Errorf("%s: got error %v", name, err)
		}
		if after := look(t, place); after != before {
			t.Errorf("before:\n%safter:\n%s", before, after)
		}
	}
}

// TestTrustIsForDirectoriesAbove checks that Trust accepts directories above the ledger
// that other users can write to, and nothing else.
func TestTrustIsForDirectoriesAbove(t *testing.T) {
	try := func(place string) error {
		l, err := Options{Trust: true}.Open(place)
		if err != nil {
			return err
		}
		defer l.Close()
		_, err = run(l, theKey, "r1", nil, success)
		return err
	}
	dir := t.TempDir()
	mkdir(t, dir+"/p/l", 0o700)
	mkdir(t, dir+"/p", 0o777)
	must(t, try(dir+"/p/l"))
	must(t, try(dir+"/p/a/b"))
	must(t, os.Chmod(dir+"/p/l", 0o770))
	if err := try(dir + "/p/l"); !errors.Is(err, ledger.ErrUnsafe) {
		t.Errorf("got error %v", err)
	}
}

func TestUnsafePlacesAreRefusedAndLeftAlone(t *testing.T) {
	another := 65534
	root := func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give files away")
		}
	}
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, dir string) (place string)
		want    error // nil: the path is safe
	}{
		{"a directory of this user", func(t *testing.T, dir string) string { mkdir(t, dir+"/l", 0o700); return dir + "/l" }, nil},
		{"no directory", func(_ *testing.T, dir string) string { return dir + "/a/b/l" }, nil},
		{"dots and slashes", func(_ *testing.T, dir string) string { return dir + "//x/.././l/" }, nil},
		{"relative", func(*testing.T, string) string { return "ledger" }, ledger.ErrUnsafe},
		{"nothing", func(*testing.T, string) string { return "" }, ledger.ErrUnsafe},
		{"open to all, empty", func(t *testing.T, dir string) string { mkdir(t, dir+"/l", 0o755); return dir + "/l" }, nil},
		{"open to the group, empty", func(t *testing.T, dir string) string { mkdir(t, dir+"/l", 0o710); return dir + "/l" }, nil},
		{"sticky, empty", func(t *testing.T, dir string) string { mkdir(t, dir+"/l", 0o777|os.ModeSticky); return dir + "/l" }, nil},
		{"open to all", func(t *testing.T, dir string) string { stuffed(t, dir+"/l", 0o755); return dir + "/l" }, ledger.ErrUnsafe},
		{"open to the group", func(t *testing.T, dir string) string { stuffed(t, dir+"/l", 0o710); return dir + "/l" }, ledger.ErrUnsafe},
		{"sticky", func(t *testing.T, dir string) string { stuffed(t, dir+"/l", 0o700|os.ModeSticky); return dir + "/l" }, ledger.ErrUnsafe},
		{"parent writable by all", func(t *testing.T, dir string) string {
			mkdir(t, dir+"/p/l", 0o700)
			mkdir(t, dir+"/p", 0o777)
			return dir + "/p/l"
		}, ledger.ErrUnsafe},
		{"parent writable by all, no ledger yet", func(t *testing.T, dir string) string {
			mkdir(t, dir+"/p", 0o777)
			return dir + "/p/q/l"
		}, ledger.ErrUnsafe},
		{"parent writable by all but sticky", func(t *testing.T, dir string) string {
			mkdir(t, dir+"/p/l", 0o700)
			mkdir(t, dir+"/p", 0o777|os.ModeSticky)
			return dir + "/p/l"
		}, nil},
		{"a link of ours", func(t *testing.T, dir string) string {
			mkdir(t, dir+"/l", 0o700)
			must(t, os.Symlink("l", dir+"/link"))
			return dir + "/link"
		}, nil},
		{"a link of ours into an unsafe place", func(t *testing.T, dir string) string {
			mkdir(t, dir+"/p/l", 0o700)
			mkdir(t, dir+"/p", 0o777)
			must(t, os.Symlink("p/l", dir+"/link"))
			return dir + "/link"
		}, ledger.ErrUnsafe},
		{"a link of another user", func(t *testing.T, dir string) string {
			root(t)
			mkdir(t, dir+"/l", 0o700)
			must(t, os.Symlink("l", dir+"/link"))
			must(t, os.Lchown(dir+"/link", another, another))
			return dir + "/link"
		}, ledger.ErrUnsafe},
		{"a link of another user on the way", func(t *testing.T, dir string) string {
			root(t)
			mkdir(t, dir+"/p/l", 0o700)
			must(t, os.Symlink("p", dir+"/link"))
			must(t, os.Lchown(dir+"/link", another, another))
			return dir + "/link/l"
		}, ledger.ErrUnsafe},
		{"a directory of another user", func(t *testing.T, dir string) string {
			root(t)
			mkdir(t, dir+"/l", 0o700)
			must(t, os.Chown(dir+"/l", another, another))
			return dir + "/l"
		}, ledger.ErrUnsafe},
		{"links in a circle", func(t *testing.T, dir string) string {
			must(t, os.Symlink("b", dir+"/a"))
			must(t, os.Symlink("a", dir+"/b"))
			return dir + "/a"
		}, syscall.ELOOP},
		{"a file", func(t *testing.T, dir string) string {
			must(t, os.WriteFile(dir+"/l", []byte("text"), 0o600))
			return dir + "/l"
		}, ledger.ErrForeign},
		{"a file on the way", func(t *testing.T, dir string) string {
			must(t, os.WriteFile(dir+"/f", []byte("text"), 0o600))
			return dir + "/f/l"
		}, ledger.ErrForeign},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			place := test.prepare(t, dir)
			before := look(t, dir)
			err := opens(t, place)
			if !errors.Is(err, test.want) {
				t.Fatalf("got error %v, want %v", err, test.want)
			}
			if after := look(t, dir); test.want != nil && after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}

// TestPlacesThatBecomeUnsafeAreRefused creates a ledger after a handle was opened. It may
// belong to another user, so the handle checks the path again.
func TestPlacesThatBecomeUnsafeAreRefused(t *testing.T) {
	ctx := t.Context()
	for name, spoil := range map[string]func(dir string) error{
		"open to all":            func(dir string) error { return os.Chmod(dir+"/p/l", 0o755) },
		"parent writable by all": func(dir string) error { return os.Chmod(dir+"/p", 0o777) },
		"no ledger yet, parent writable by all": func(dir string) error {
			return errors.Join(os.RemoveAll(dir+"/p/l"), os.Chmod(dir+"/p", 0o777))
		},
		"another user's": func(dir string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(dir+"/p/l", 0o755) // only root can give files away
			}
			return os.Chown(dir+"/p/l", 65534, 65534)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := opened(t, dir+"/p/l")
			if rec, err := l.Get(ctx, theKey); err != nil || rec.Phase() != ledger.PhaseNone {
				t.Fatalf("got %s, error %v", rec.Phase(), err)
			}
			mkdir(t, dir+"/p", 0o700)
			must(t, os.Rename(made(t), dir+"/p/l"))
			must(t, spoil(dir))
			before := look(t, dir)
			_, got := l.Get(ctx, theKey)
			_, listed := ledger.Collect(l.List(ctx, ledger.Filter{}))
			_, claimed := l.Claim(ctx, theKey)
			for _, err := range []error{got, listed, claimed} {
				if !errors.Is(err, ledger.ErrUnsafe) {
					t.Errorf("got error %v", err)
				}
			}
			if after := look(t, dir); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
		})
	}
}

func TestLinksNameTheSameLedger(t *testing.T) {
	place := made(t)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(place, link))
	l := opened(t, link)
	real, err := filepath.EvalSymlinks(place)
	must(t, err)
	if l.Place() != real {
		t.Errorf("got %s, want %s", l.Place(), real)
	}
	c, err := opened(t, place).Claim(t.Context(), theKey)
	must(t, err)
	defer c.Release()
	var busy *ledger.BusyError
	if _, err := l.Claim(t.Context(), theKey); !errors.As(err, &busy) {
		t.Errorf("got error %v", err)
	}
}

// TestOddDirectoryNames checks names that need escaping. The driver passes the name to
// SQLite in a URL.
func TestOddDirectoryNames(t *testing.T) {
	for _, name := range []string{
		"a?b", "a?mode=memory", "a#b", "100%", "%41", "a b", "größe🚀", "a&b=c;d", "a+b", ":memory:", "file:x", "'\"`$(x)", "a\\b", "a\nb", "a\xffb", "-", "..a",
	} {
		parent := t.TempDir()
		place := filepath.Join(parent, name)
		l, err := Open(place)
		must(t, err)
		runs(t, l, theKey, "r", large, success)
		must(t, l.Close())
		rec, err := opened(t, place).Get(t.Context(), theKey)
		if err != nil || rec.Phase() != ledger.PhaseSucceeded {
			t.Errorf("%q: got %s, %v", name, rec.Phase(), err)
		}
		entries, err := os.ReadDir(parent)
		must(t, err)
		if len(entries) != 1 || entries[0].Name() != name {
			t.Errorf("%q: got %v", name, entries)
		}
		if info, err := os.Stat(filepath.Join(place, "ledger.db")); err != nil || info.Size() == 0 {
			t.Errorf("%q: the directory has no ledger: %v", name, err)
		}
	}
}

// TestFileNamesTellNothingOfKeys checks that no file is named after a key, which may be
// "../../etc/passwd".
func TestFileNamesTellNothingOfKeys(t *testing.T) {
	for name, locks := range spaces {
		place := fresh(t)
		l, err := Options{}.open(place, locks)
		must(t, err)
		defer l.Close()
		for i, key := range []string{"..", "../../etc/passwd", "/", "secret/key", "%00", "🚀", strings.Repeat("k", 255)} {
			runs(t, l, ledger.ID{Namespace: "secretspace", Key: key}, "run-"+string(rune('a'+i)), large, success)
		}
		listing := strings.ReplaceAll(look(t, place), place, "")
		for _, s := range []string{"passwd", "secret", "🚀", "kkk", "%"} {
			if strings.Contains(listing, s) {
				t.Errorf("%s: %q is in\n%s", name, s, listing)
			}
		}
	}
}

// TestModesWhateverTheUmask is not parallel, because it sets the umask of the process.
func TestModesWhateverTheUmask(t *testing.T) {
	for name, locks := range spaces {
		for _, mask := range []int{0, 0o777, 0o027} {
			place := filepath.Join(t.TempDir(), "a", "b", "ledger")
			old := unix.Umask(mask)
			l, err := Options{}.open(place, locks)
			if err == nil {
				_, err = run(l, theKey, "r", large, success)
			}
			unix.Umask(old)
			must(t, err)
			err = filepath.WalkDir(filepath.Dir(filepath.Dir(place)), func(path string, d fs.DirEntry, err error) error {
				must(t, err)
				info, err := d.Info()
				must(t, err)
				if want := map[bool]os.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
					t.Errorf("%s, umask %03o: %s has mode %v", name, mask, strings.TrimPrefix(path, place), info.Mode())
				}
				return nil
			})
			must(t, err)
			must(t, l.Close())
		}
	}
}

func TestReadingMakesNothing(t *testing.T) {
	place := fresh(t)
	l := opened(t, place)
	ctx := t.Context()
	if rec, err := l.Get(ctx, theKey); err != nil || rec.Phase() != ledger.PhaseNone || rec.Generation != 1 {
		t.Errorf("got %+v, %v", rec, err)
	}
	if list, err := ledger.Collect(l.List(ctx, ledger.Filter{})); err != nil || len(list) > 0 {
		t.Errorf("got %v, %v", list, err)
	}
	must(t, l.Wait(ctx, theKey))
	if err := l.Forget(ctx, theKey); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("got error %v", err)
	}
	if _, err := os.Lstat(place); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was created: %s", look(t, place))
	}
}
