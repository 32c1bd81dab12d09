package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"idem/ledger"
)

// reconnect makes database/sql drop its connection, as if a context had interrupted it.
func reconnect(t *testing.T, l *Ledger) {
	t.Helper()
	c, err := l.db.Conn(t.Context())
	must(t, err)
	err = c.Raw(func(any) error { return driver.ErrBadConn })
	if !errors.Is(err, driver.ErrBadConn) {
		t.Fatalf("got error %v", err)
	}
	c.Close()
}

// TestSecondConnectionIsAsTheFirst checks that a second connection has the same settings,
// and that it fails if the path leads to another ledger.
func TestSecondConnectionIsAsTheFirst(t *testing.T) {
	place := made(t)
	l := opened(t, place)
	runs(t, l, ledger.ID{Key: "a"}, "r8", nil, success)
	reconnect(t, l)
	for pragma, want := range map[string]int{"synchronous": 2, "wal_autocheckpoint": 40, "cell_size_check": 1, "busy_timeout": 30000, "secure_delete": 1} {
		var got int
		must(t, l.db.DB.QueryRowContext(t.Context(), "pragma "+pragma).Scan(&got))
		if got != want {
			t.Errorf("%s is %d, want %d", pragma, got, want)
		}
	}
	runs(t, l, ledger.ID{Key: "b"}, "r9", nil, success)
	other := made(t)
	reconnect(t, l)
	must(t, os.Rename(place, place+".old"))
	must(t, os.Rename(other, place))
	before := look(t, place)
	_, got := l.Get(context.Background(), theKey)
	_, claimed := run(l, ledger.ID{Key: "c"}, "r10", nil, success)
	for _, err := range []error{got, claimed} {
		if fault := (*ledger.Fault)(nil); !errors.As(err, &fault) || fault.Kind != ledger.FaultReplaced {
			t.Errorf("got error %v", err)
		}
	}
	if after := look(t, place); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// TestHandleNeverMixesLedgers replaces the ledger of a handle by another one. The handle
// takes no locks of the other ledger, and closing the handle does not change it.
func TestHandleNeverMixesLedgers(t *testing.T) {
	for name, locks := range spaces {
		t.Run(name, func(t *testing.T) {
			place := fresh(t)
			l, err := Options{}.open(place, locks)
			must(t, err)
			runs(t, l, theKey, "r1", nil, success)
			late, err := Options{}.open(place, locks) // this handle has written nothing yet
			must(t, err)
			must(t, os.Rename(place, place+".old"))
			fresh, err := Options{}.open(place, locks)
			must(t, err)
			defer fresh.Close()
			runs(t, fresh, theKey, "r2", nil, success)
			for _, l := range []*Ledger{l, late} {
				_, err := run(l, ledger.ID{Key: "x"}, "r3", nil, success)
				if fault := (*ledger.Fault)(nil); !errors.As(err, &fault) || fault.Kind != ledger.FaultReplaced {
					t.Errorf("got error %v", err)
				}
				must(t, l.Close())
			}
			runs(t, fresh, ledger.ID{Key: "y"}, "r4", nil, success)
			if _, err := os.Stat(filepath.Join(place, "ledger.db-wal")); err != nil {
				t.Error(err)
			}
			old, err := Options{}.open(place+".old", locks)
			must(t, err)
			defer old.Close()
			runs(t, old, ledger.ID{Key: "z"}, "r5", nil, success)
		})
	}
}

// TestOlderFormatIsRefused uses a format that has no migration.
func TestOlderFormatIsRefused(t *testing.T) {
	place := made(t)
	raw(t, place, "pragma user_version=0")
	before := look(t, place)
	if _, err := Open(place); !errors.Is(err, ledger.ErrOldVersion) {
		t.Errorf("got error %v", err)
	}
	if after := look(t, place); after != before {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}
