// Package testkit has the helpers that the tests of all packages share: golden files,
// the mark of a slow test, and that of a test that this machine cannot run.
package testkit

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Updating reports whether the flag -update tells the tests to write their golden
// files.
func Updating() bool { return *update }

// Golden fails the test unless the file has exactly the content want. With -update it
// writes the file first. The path is relative to the package.
func Golden(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s is out of date (-file +want); run this test with -update to write it:\n%s", file, diff)
	}
}

// Slow skips a test under go test -short, which is for quick runs between edits. why
// says what takes the time.
func Slow(t testing.TB, why string) {
	t.Helper()
	if testing.Short() {
		t.Skip(ShortSkip + why)
	}
}

// ShortSkip is the prefix of the reason of every skip that -short causes. By it,
// test/skips distinguishes these skips from those of tests that cannot run on this
// machine.
const ShortSkip = "-short: "

// Skipper is the part of testing.TB that Missing uses.
type Skipper interface {
	Helper()
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Missing skips a test that this machine cannot run, since it does not have what. With
// IDEM_TEST_STRICT=1 it fails the test instead.
func Missing(t Skipper, what string) {
	t.Helper()
	if os.Getenv("IDEM_TEST_STRICT") == "1" {
		t.Fatalf("IDEM_TEST_STRICT: %s is missing", what)
	}
	t.Skipf("%s is missing", what)
}
