package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// withoutIdem removes the variables that select a ledger from an environment.
func withoutIdem(c *exec.Cmd) {
	c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(kv string) bool {
		return strings.HasPrefix(kv, "IDEM_LEDGER=") || strings.HasPrefix(kv, "IDEM_NAMESPACE=") || strings.HasPrefix(kv, "STATE_DIRECTORY=")
	})
}

// computedHints has an example of a printed text for each function whose hints
// have computed texts.
var computedHints = map[string][]string{
	"refusal":      {"for the current window: idem", "for the window with the latest attempt: idem"},
	"similarHints": {"a similar key: idem"},
}

// hintMakers are the functions that make a hint with a command. The value is
// the index of the argument that describes the command.
var hintMakers = map[string]int{"hintFor": 1}

// hintSites returns the text of each hint with a command, keyed by its position
// in the source.
func hintSites(t *testing.T) map[string]string {
	t.Helper()
	sites := map[string]string{}
	for _, f := range hintSource(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || hintMakers[fn.Name.Name] > 0 { // the makers pass on their arguments
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				arg, ok := hintMakers[calledName(call)]
				if !ok {
					return true
				}
				texts := []string{longestText(call.Args[arg])}
				if texts[0] == "" {
					texts = computedHints[fn.Name.Name]
				}
				if len(texts) == 0 {
					t.Errorf("%s: got hints with computed texts, want an example in computedHints", fn.Name.Name)
				}
				for _, text := range texts {
					sites[fn.Name.Name+": "+text] = text
				}
				return true
			})
		}
	}
	if len(sites) < 10 {
		t.Fatalf("got %d hints with a command in the source, want at least 10", len(sites))
	}
	return sites
}

// recordCommand matches a command about a record in a format string.
var recordCommand = regexp.MustCompile(`idem (run|step|each|list|show|logs|mark|forget|wait|token|check|explain)( -\S+| (done|failed|retry)\S*| KEY)* %`)

// TestNoOtherHintNamesARecord checks that no message text is a command line
// about a record. Such lines come from report_reference.go.
func TestNoOtherHintNamesARecord(t *testing.T) {
	for _, f := range hintSource(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if recordCommand.MatchString(text) && !strings.Contains(text, "--key KEY -- %s") {
				t.Errorf("%q: got a command in a format string, want hintFor", text)
			}
			return true
		})
	}
}

func hintSource(t *testing.T) []*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// longestText returns the longest string in an expression, or "" if there is
// none.
func longestText(e ast.Expr) string {
	longest := ""
	ast.Inspect(e, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && len(s) > len(longest) {
				longest = s
			}
		}
		return true
	})
	return longest
}
