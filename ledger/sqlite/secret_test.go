package sqlite

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

func TestSecretIsOneForAllHandles(t *testing.T) {
	for name, place := range map[string]string{"fresh": fresh(t), "used": made(t)} {
		l := opened(t, place)
		first, err := l.Secret(t.Context())
		must(t, err)
		if len(first) != secretSize || bytes.Equal(first, make([]byte, secretSize)) {
			t.Errorf("%s: got %x", name, first)
		}
		for _, l := range []*Ledger{l, opened(t, place)} {
			again, err := l.Secret(t.Context())
			must(t, err)
			found, err := l.FindSecret()
			must(t, err)
			if !bytes.Equal(first, again) || !bytes.Equal(first, found) {
				t.Errorf("%s: got %x, then %x and %x", name, first, again, found)
			}
		}
		integrity(t, place)
	}
}

func TestSecretsOfTwoLedgersDiffer(t *testing.T) {
	a, err := opened(t, fresh(t)).Secret(t.Context())
	must(t, err)
	b, err := opened(t, fresh(t)).Secret(t.Context())
	must(t, err)
	if bytes.Equal(a, b) {
		t.Errorf("both are %x", a)
	}
}

// TestSecretIsMadeOnce asks for the secret of a missing ledger many times at once. All
// callers get the same secret.
func TestSecretIsMadeOnce(t *testing.T) {
	const makers = 20
	for name, locks := range spaces {
		for range 3 {
			place := fresh(t)
			type answer struct {
				secret []byte
				err    error
			}
			answers, begin := make(chan answer, makers), make(chan struct{})
			for range makers {
				l, err := Options{}.open(place, locks)
				must(t, err)
				defer l.Close()
				go func() {
					<-begin
					secret, err := l.Secret(t.Context())
					answers <- answer{secret, err}
				}()
			}
			close(begin)
			stored := func() []byte {
				b, err := os.ReadFile(filepath.Join(place, "secret"))
				must(t, err)
				return b
			}
			for range makers {
				a := <-answers
				must(t, a.err)
				if !bytes.Equal(a.secret, stored()) {
					t.Errorf("%s: got %x, stored is %x", name, a.secret, stored())
				}
			}
			if left, _ := filepath.Glob(place + "/*.new"); len(left) > 0 {
				t.Errorf("%s: left behind: %v", name, left)
			}
		}
	}
}

// TestSecretIsPrivate is not parallel, because it sets the umask of the process.
func TestSecretIsPrivate(t *testing.T) {
	for _, mask := range []int{0, 0o777, 0o077} {
		place := fresh(t)
		l := opened(t, place)
		old := unix.Umask(mask)
		_, err := l.Secret(t.Context())
		unix.Umask(old)
		must(t, err)
		info, err := os.Lstat(filepath.Join(place, "secret"))
		must(t, err)
		if info.Mode() != 0o600 {
			t.Errorf("umask %03o: got mode %v", mask, info.Mode())
		}
	}
}

func TestDamagedSecretIsRefusedAndLeftAlone(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(path string) error
		want   error
	}{
		{"empty", func(p string) error { return os.Truncate(p, 0) }, ledger.ErrCorrupt},
		{"short", func(p string) error { return os.Truncate(p, secretSize-1) }, ledger.ErrCorrupt},
		{"long", func(p string) error { return os.Truncate(p, secretSize+1) }, ledger.ErrCorrupt},
		{"a link", func(p string) error { return errors.Join(os.Rename(p, p+".old"), os.Symlink("secret.old", p)) }, ledger.ErrForeign},
		{"a hard link", func(p string) error { return os.Link(p, p+".old") }, ledger.ErrUnsafe},
		{"a directory", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, ledger.ErrForeign},
	} {
		place := fresh(t)
		_, err := opened(t, place).Secret(t.Context())
		must(t, err)
		must(t, test.damage(filepath.Join(place, "secret")))
		before := look(t, place)
		l := opened(t, place)
		if got, err := l.Secret(t.Context()); !errors.Is(err, test.want) {
			t.Errorf("%s: got %x, error %v", test.name, got, err)
		}
		if got, err := l.FindSecret(); !errors.Is(err, test.want) {
			t.Errorf("%s: found %x, error %v", test.name, got, err)
		}
		if after := look(t, place); after != before {
			t.Errorf("%s: before:\n%safter:\n%s", test.name, before, after)
		}
	}
}

// TestSecretAfterACrashOnTheWay starts with a leftover secret.new, whatever its size and
// mode. It is overwritten by a new secret.
func TestSecretAfterACrashOnTheWay(t *testing.T) {
	place := made(t)
	half := filepath.Join(place, "secret.new")
	must(t, os.WriteFile(half, []byte("half of a secret that is longer than it may be"), 0o400))
	secret, err := opened(t, place).Secret(t.Context())
	must(t, err)
	stored, err := os.ReadFile(filepath.Join(place, "secret"))
	must(t, err)
	if len(secret) != secretSize || !bytes.Equal(secret, stored) {
		t.Errorf("got %x, stored is %x", secret, stored)
	}
	if _, err := os.Lstat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("secret.new is left: %v", err)
	}
}

func TestFindSecretWritesNothing(t *testing.T) {
	for name, place := range map[string]string{"no ledger": fresh(t), "no secret": made(t)} {
		before := look(t, place)
		if got, err := opened(t, place).FindSecret(); got != nil || err != nil {
			t.Errorf("%s: got %x, error %v", name, got, err)
		}
		if after := look(t, place); after != before {
			t.Errorf("%s: before:\n%safter:\n%s", name, before, after)
		}
	}
}

const secretSize = 32

// unnamed checks that a file has no name.
func unnamed(t *testing.T, f *os.File) {
	t.Helper()
	info, err := f.Stat()
	must(t, err)
	if n := info.Sys().(*syscall.Stat_t).Nlink; n != 0 {
		t.Errorf("the file has %d names", n)
	}
}

// TestScratchOfAMissingLedger checks that Scratch creates the ledger. A call needs the file
// for stdin before its first claim creates the ledger.
func TestScratchOfAMissingLedger(t *testing.T) {
	for name, place := range map[string]string{"missing": fresh(t), "there": made(t)} {
		l := opened(t, place)
		f, err := l.Scratch()
		must(t, err)
		defer f.Close()
		_, err = f.WriteString("stdin")
		must(t, err)
		got := make([]byte, 5)
		if _, err := f.ReadAt(got, 0); err != nil || string(got) != "stdin" {
			t.Errorf("%s: got %q, error %v", name, got, err)
		}
		unnamed(t, f)
		entries, err := os.ReadDir(filepath.Join(place, "output"))
		must(t, err)
		for _, e := range entries {
			if info, err := e.Info(); err == nil && info.Size() == 5 {
				t.Errorf("%s: the file has the name %s", name, e.Name())
			}
		}
		rec, err := l.Get(t.Context(), ledger.ID{Namespace: "default", Key: "new"})
		if err != nil || rec.Phase() != ledger.PhaseNone {
			t.Errorf("%s: got %s, error %v", name, rec.Phase(), err)
		}
		runs(t, l, ledger.ID{Namespace: "default", Key: "new"}, "run", []byte("out\n"), success)
		integrity(t, place)
	}
}
