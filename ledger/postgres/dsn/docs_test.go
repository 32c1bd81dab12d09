package dsn

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedSettings checks that docs/shared.md names every key and every variable that
// has an effect.
func TestDocumentedSettings(t *testing.T) {
	page, err := os.ReadFile("../../../docs/shared.md")
	if err != nil {
		t.Fatal(err)
	}
	names := append(slices.Collect(maps.Keys(envKeys)), "PGPASSWORD", "PGSSLPASSWORD", "PGSERVICEFILE", "IDEM_PG_PASSWORD_COMMAND",
		"PGHOSTADDR", "PGSSLCRL", "PGSSLCRLDIR", "PGREQUIREPEER", "PGSSLMINPROTOCOLVERSION", "PGGSSENCMODE=require", "schema=NAME", "lease=5m")
	for key, of := range known {
		if of&isUsed != 0 {
			names = append(names, key)
		}
	}
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/shared.md does not name `%s`", name)
		}
	}
}
