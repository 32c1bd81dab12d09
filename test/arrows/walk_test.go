package arrows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/ARCHITECTURE.md names functions that exist in the files that it names. Its walk has no
// more than 20 steps.
func TestWalkNamesFunctions(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, walk, _ := strings.Cut(string(page), "## The way of a call\n")
	walk, _, _ = strings.Cut(walk, "\n## ")
	if steps := regexp.MustCompile(`(?m)^\d+\. `).FindAllString(walk, -1); len(steps) == 0 || len(steps) > 20 {
		t.Errorf("got a walk of %d steps, want 1 to 20", len(steps))
	}
	named := regexp.MustCompile("`([a-z/_]+\\.go)`\\s+`([A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 30 {
		t.Errorf("got %d functions, want at least 30", len(named))
	}
	for _, m := range named {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, m[1]), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		found := false
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == m[2] {
				found = true
			}
		}
		if !found {
			t.Errorf("%s has no function %s", m[1], m[2])
		}
	}
}
