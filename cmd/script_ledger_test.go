package cmd_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"idem/ledger/drivers"
)

// scriptPlace looks into a shared ledger behind its driver.
type scriptPlace interface {
	look(place string) (map[string]string, error) // describes what is recorded
	has(place, text string) (bool, error)         // whether any row has a text
	damage(place string) error                    // changes a byte of each large output
	inside(place string) string                   // the same ledger, without the environment of the script
}

// scriptPlaceKey is for the scriptPlace of a script.
type scriptPlaceKey struct{}

// scriptShared returns the URL of the script's shared ledger, and what looks into it.
func scriptShared(ts *testscript.TestScript) (string, scriptPlace) {
	p, _ := ts.Value(scriptPlaceKey{}).(scriptPlace)
	if place := ts.Getenv("IDEM_LEDGER"); p != nil && drivers.IsShared(place) {
		return place, p
	}
	return "", nil
}

// scriptSnapshot describes all files below dir, or the rows of the shared ledger at that
// URL. It is empty if dir does not exist. It leaves out the -shm, in which readers
// register.
func scriptSnapshot(ts *testscript.TestScript, dir string) map[string]string {
	if place, p := scriptShared(ts); p != nil && place == dir {
		rows, err := p.look(place)
		ts.Check(err)
		return rows
	}
	files := map[string]string{}
	if _, err := os.Lstat(dir); err != nil {
		return files
	}
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, "-shm") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files[path] = info.Mode().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			files[path] += fmt.Sprintf(" %d bytes %x", len(b), sha256.Sum256(b))
			return err
		}
		return nil
	}))
	return files
}

func cmdAbsent(ts *testscript.TestScript, neg bool, texts []string) {
	place, p := scriptShared(ts)
	dir := ts.Getenv("IDEM_LEDGER")
	if p != nil {
		dir = filepath.Join(ts.Getenv("STATE_DIRECTORY"), "idem")
	}
	for _, text := range texts {
		found, err := scriptFilesHave(dir, text)
		ts.Check(err)
		if p != nil && !found {
			found, err = p.has(place, text)
			ts.Check(err)
		}
		if found != neg {
			ts.Fatalf("%s: in the ledger: %t", text, found)
		}
	}
}

func scriptFilesHave(dir, text string) (found bool, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		found = found || bytes.Contains(b, []byte(text))
		return err
	})
	return found, err
}

func cmdDamage(ts *testscript.TestScript, _ []string) {
	if place, p := scriptShared(ts); p != nil {
		ts.Check(p.damage(place))
		return
	}
	files, err := filepath.Glob(filepath.Join(ts.Getenv("IDEM_LEDGER"), "output", "*"))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("got no output in the ledger, want one")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		ts.Check(err)
		if len(b) > 5000 {
			b[5000] ^= 255
			ts.Check(os.WriteFile(file, b, 0o600))
		}
	}
}
