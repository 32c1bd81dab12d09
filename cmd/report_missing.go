package cmd

import (
	"cmp"
	"context"
	"os"
	"os/user"
	"path/filepath"
	"slices"

	"idem/ledger"
	"idem/ledger/drivers"
)

// rootPlace is the usual place of root's ledger.
const rootPlace = "/var/lib/idem"

// missing reports whether a ledger has not been created yet.
func missing(ctx context.Context, l ledger.Ledger) bool {
	m, ok := l.(ledger.Missing)
	if !ok {
		return false
	}
	is, err := m.Missing(ctx)
	return is && err == nil
}

// warnNoLedger warns that the ledger does not exist. A wrong path, and another user, look as
// if nothing had ever been recorded.
func (a *app) warnNoLedger(ctx context.Context, l ledger.Store) {
	if !missing(ctx, l) {
		return
	}
	a.ui.warn("no ledger at %s: nothing has been recorded there", quote(l.Place()))
	for _, h := range otherPlaces(l.Place()) {
		a.ui.hint(hint{text: h})
	}
}

// noLedgerFailure is the failure of a call that needs a ledger where there is none.
func noLedgerFailure(code int, place string) *failure {
	f := fail(code, "no ledger at %s: nothing has been recorded there", quote(place))
	for _, h := range otherPlaces(place) {
		f.hint("%s", h)
	}
	return f
}

// needLedger refuses to replace a file by a summary of a ledger that does not exist. It may be
// on a volume that is not mounted, or that of another user.
func (a *app) needLedger(ctx context.Context, l ledger.Store, file string) error {
	if !missing(ctx, l) {
		return nil
	}
	f := fail(exitLedger, "no ledger at %s", quote(l.Place())).detail("nothing is written to %s", quote(file))
	for _, h := range otherPlaces(l.Place()) {
		f = f.hint("%s", h)
	}
	return f
}

// otherPlaces describes the usual places other than place that have a ledger.
func otherPlaces(place string) []string {
	var found []string
	seen := []string{place}
	see := func(whose, path string) {
		if !slices.Contains(seen, path) && drivers.Found(path) {
			seen = append(seen, path)
			found = append(found, whose+" ledger is "+path)
		}
	}
	withoutVar := func(name string) string {
		if name == "IDEM_LEDGER" {
			return ""
		}
		return os.Getenv(name)
	}
	if usual, err := placeOf("", withoutVar); err == nil {
		see("the usual", usual)
	}
	if own := ownPlace(); own != "" {
		see("this user's", own)
	}
	see("root's", rootPlace)
	for _, pattern := range []string{"/var/lib/*/idem", "/var/lib/private/*/idem"} { // StateDirectory= of a unit
		units, _ := filepath.Glob(pattern) // without an error for a directory that is closed
		for _, path := range units {
			see("a unit's", path)
		}
	}
	if name := os.Getenv("SUDO_USER"); name != "" {
		if u, err := user.Lookup(name); err == nil {
			see(escape(name)+"'s", filepath.Join(cmp.Or(u.HomeDir, "/"), ".local", "state", "idem"))
		}
	}
	return found
}
