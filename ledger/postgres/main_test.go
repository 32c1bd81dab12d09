package postgres

import (
	"os"
	"testing"
)

// helpers are programs that the tests need. POSTGRES_HELPER names one.
var helpers = map[string]func() int{"idem": helperIdem}

// TestMain runs the tests, a keeper or a helper.
func TestMain(m *testing.M) {
	if status, asked := Keeper(os.Args[1:]); asked {
		os.Exit(status)
	}
	name := os.Getenv("POSTGRES_HELPER")
	if name == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv("POSTGRES_HELPER")
	os.Exit(helpers[name]())
}
