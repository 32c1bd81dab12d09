package steps

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"idem/test/internal/rig"
)

// The table has every point of the source, and no other point.
func TestScenesHaveAllPoints(t *testing.T) {
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := rig.Watch(); err != nil {
		t.Fatal(err)
	}
	source, played := map[string]string{}, map[string]bool{}
	here := regexp.MustCompile(`failpoint\.Here\("([^"]+)"\)`)
	for _, glob := range []string{"cmd/*.go", "runner/*.go", "proc/*.go", "ledger/*.go", "ledger/*/*.go"} {
		files, _ := filepath.Glob(filepath.Join(root, glob))
		for _, file := range files {
			if filepath.Base(filepath.Dir(file)) == "postgres" {
				continue // the scenes have a local ledger
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range here.FindAllStringSubmatch(string(b), -1) {
				if other, twice := source[m[1]]; twice {
					t.Errorf("%s is a point in %s and in %s", m[1], other, file)
				}
				source[m[1]] = file
			}
		}
	}
	for _, sc := range all() {
		for _, st := range sc.steps {
			name, _, _ := strings.Cut(st.point, ":")
			played[name] = true
			if source[name] == "" {
				t.Errorf("%s: there is no point %s", sc.name, name)
			}
		}
	}
	for name, file := range source {
		if !played[name] {
			t.Errorf("%s: no step kills at %s", file, name)
		}
	}
	if len(source) < 12 {
		t.Errorf("only %d points", len(source))
	}
}
