package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// age distinguishes the idem that is measured from an earlier one, of --old.
type age string

const (
	now    age = ""
	before age = " before"
)

// row returns the name of a row at this age: "idem, many keys" was "idem before, many keys".
func (a age) row(name string) string { return strings.Replace(name, idem, idem+string(a), 1) }

// isIdem reports whether a contender is idem, at any age.
func isIdem(name string) bool { return name == idem || name == before.row(idem) }

// ages returns the ages that are measured. The earlier idem is first, because its commit to a
// ledger of both ends what a later idem keeps next to ledger.db.
func (b *bench) ages() []age {
	if b.old == "" {
		return []age{now}
	}
	return []age{before, now}
}

// program returns the path of idem at an age.
func (b *bench) program(a age) string {
	if a == before {
		return b.old
	}
	return b.downloads.idem
}

// prepareOld adds the earlier idem to the contenders. Both programs become copies that cp
// makes, because the layout of a file in the page cache changes the time of a start.
func (b *bench) prepareOld() error {
	b.contenders = contenders
	if b.old == "" {
		return nil
	}
	if b.work == sharedWork {
		return errors.New("--old: a shared ledger is measured without an earlier idem")
	}
	for from, to := range map[*string]string{&b.old: "old", &b.downloads.idem: "new"} {
		path, err := exec.LookPath(*from)
		if err != nil {
			return err
		}
		to = filepath.Join(b.dir, "copies", to, "idem")
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), runUnmeasured(call{argv: []string{"/bin/cp", path, to}})); err != nil {
			return err
		}
		*from = to
	}
	out, err := exec.Command(b.old, "version").Output()
	if err != nil {
		return fmt.Errorf("--old: idem version: %w", err)
	}
	b.result.Old = strings.TrimSpace(string(out))
	c := *contenders[len(contenders)-1] // idem
	c.name, c.what = before.row(idem), "the same, of an earlier commit"
	c.find = func(*downloads) (string, error) { return b.old, nil }
	b.contenders = append(contenders[:len(contenders):len(contenders)], &c)
	return nil
}
