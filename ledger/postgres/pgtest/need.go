// Package pgtest starts real PostgreSQL servers, standbys and PgBouncers for tests.
//
// A test begins with Shared, or with Start if it stops, pauses or configures its server.
// Everything runs in one directory per test process. A guard process stops what is left
// and removes the directory, however the test process ends.
package pgtest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"idem/internal/testkit"
)

// T is the part of testing.TB that the kit uses. A program that is not a test can
// implement it, too.
type T interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Need skips the test unless PostgreSQL is installed. With IDEM_TEST_STRICT=1 it fails
// the test instead.
func Need(t T) {
	t.Helper()
	if bin() == "" {
		testkit.Missing(t, "PostgreSQL (Debian package postgresql)")
	}
}

// NeedPooler skips the test unless PgBouncer is installed, as Need does.
func NeedPooler(t T) {
	t.Helper()
	if pgbouncer() == "" {
		testkit.Missing(t, "pgbouncer (Debian package pgbouncer)")
	}
}

// bin returns the directory of the newest installed server, or "". Debian keeps the
// programs of the server out of PATH.
var bin = sync.OnceValue(func() string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	if path, err := exec.LookPath("initdb"); err == nil {
		dirs = append([]string{filepath.Dir(path)}, dirs...)
	}
	for _, dir := range dirs {
		if executable(dir, "initdb") && executable(dir, "postgres") && executable(dir, "pg_basebackup") {
			return dir
		}
	}
	return ""
})

// version returns the major version in a path /usr/lib/postgresql/VERSION/bin, or 0.
func version(dir string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	return v
}

func executable(dir, name string) bool {
	_, err := exec.LookPath(filepath.Join(dir, name))
	return err == nil
}

var pgbouncer = sync.OnceValue(func() string {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

// environ returns the environment of all programs of the kit. It has none of the PG*
// variables, which would redirect them.
func environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}
