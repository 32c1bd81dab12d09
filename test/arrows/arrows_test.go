// Package arrows tests the rules of the architecture:
//   - the imports that each package may have
//   - the packages that may print, exit or start a process
//   - the packages that the program may not contain
package arrows

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Packages have their names below the module: "." is main, "ledger/*" is one level below
// ledger, and "test/..." is test and everything below it. The rules apply to the files of
// every platform, except for _test.go files.

// rule lists the packages of the module that a package may import.
type rule struct {
	room    string
	imports []string
}

// rooms has the rule of each package.
var rooms = []rule{
	{".", []string{"cmd", "internal/entry"}},
	{"cmd", []string{"runner", "batch", "items", "inputs", "jobs", "report", "proc", "hashkey", "redact", "sidefile", "ledger", "ledger/none", "ledger/drivers", "transfer", "internal/bootid"}},
	{"runner", []string{"ledger", "proc", "redact", "sidefile", "internal/fdio"}},
	{"batch", []string{"runner", "items", "ledger", "proc", "internal/fdio"}},
	{"items", []string{"hashkey", "internal/lenprefix"}},
	{"proc", []string{"internal/failpoint", "internal/fdio", "internal/rawsig"}},
	{"inputs", []string{"hashkey", "internal/lenprefix"}},
	{"jobs", []string{"ledger", "hashkey"}},
	{"report", []string{"jobs", "ledger", "hashkey"}},
	{"hashkey", []string{"internal/lenprefix"}},
	{"redact", nil},
	{"transfer", []string{"hashkey", "ledger"}},
	{"sidefile", []string{"ledger"}},
	{"ledger", nil},
	{"ledger/spool", []string{"ledger", "internal/fdio"}},
	{"ledger/none", []string{"ledger", "ledger/spool"}},
	{"ledger/drivers", []string{"ledger", "ledger/sqlite", "ledger/postgres", "ledger/postgres/dsn"}},
	{"ledger/localdir", []string{"ledger", "internal/failpoint"}},
	{"ledger/filelock", []string{"ledger", "ledger/localdir", "internal/lenprefix"}},
	{"ledger/mutex", []string{"ledger"}},
	{"ledger/survey", []string{"ledger", "ledger/filelock", "internal/lenprefix"}},
	{"ledger/sqlite", []string{"ledger", "ledger/spool", "ledger/localdir", "ledger/filelock", "ledger/mutex", "ledger/survey", "internal/bootid", "internal/combine", "internal/failpoint", "internal/lenprefix", "internal/poll"}},
	{"ledger/postgres", []string{"ledger", "ledger/spool", "ledger/localdir", "ledger/filelock", "ledger/mutex", "ledger/survey", "ledger/postgres/dsn", "ledger/postgres/wire", "internal/bootid", "internal/detach", "internal/failpoint", "internal/lenprefix", "internal/poll"}},
	{"ledger/postgres/dsn", nil},
	{"ledger/postgres/wire", []string{"internal/combine"}},
	{"ledger/postgres/pgtest/...", []string{"ledger/postgres/pgtest/...", "internal/testkit"}},
	{"ledger/ledgertest", []string{"ledger", "ledger/spool", "internal/lenprefix"}}, // for tests only, see unwanted
	{"internal/bootid", nil},
	{"internal/combine", nil},
	{"internal/detach", nil},
	{"internal/entry", nil},
	{"internal/rawsig", nil},
	{"internal/lenprefix", nil},
	{"internal/poll", nil},
	{"internal/fdio", nil},
	{"internal/failpoint", nil},   // without the build tag failpoint it does nothing
	{"internal/testkit", nil},     // for tests only, see unwanted
	{"test/...", []string{"..."}}, // not a part of the program
}

// fences lists imports from outside of the module with the only packages that may have
// them.
var fences = []struct {
	imports []string
	only    []string
	why     string
}{
	{[]string{"database/sql/...", "modernc.org/...", "github.com/jackc/..."}, []string{"ledger/*", "ledger/postgres/..."}, "drivers stay below ledger"},
	{[]string{"os/exec"}, []string{"proc", "ledger/ledgertest", "ledger/postgres/dsn", "ledger/postgres/pgtest"}, "only proc starts processes, except for a password command"},
	{[]string{"github.com/spf13/..."}, []string{"cmd"}, "only cmd knows the command line"},
	{[]string{"net/http/...", "text/template/...", "html/template"}, nil, "they cost every start of the program"},
}

// calls lists names of the standard library, and builtins, with the only packages that
// may use them. A star matches the rest of a name.
var calls = []struct {
	names []string
	only  []string
	why   string
}{
	{[]string{"fmt.Print*", "log.Print*", "print", "println"}, []string{".", "cmd"}, "only cmd prints"},
	{[]string{"os.Exit", "log.Fatal*"}, []string{".", "cmd"}, "only cmd and main exit"},
	{[]string{"os.StartProcess", "syscall.StartProcess", "syscall.ForkExec"}, []string{"proc", "internal/detach"}, "only proc starts processes, except for a keeper"},
}

// unwanted packages may not be in the program, not even through an import of a library.
var unwanted = []string{
	"testing/...", "net/http/httptest", "ledger/ledgertest", "ledger/postgres/pgtest/...", "internal/testkit",
	"pgregory.net/rapid/...", "github.com/google/go-cmp/...", "github.com/rogpeppe/go-internal/...",
	"github.com/stretchr/...", "github.com/anishathalye/porcupine/...", "github.com/goccy/...",
}

// tolerated packages may be in the program if a library imports them. The log of the
// test names the library.
var tolerated = []string{"net/http", "text/template", "html/template"}

func TestArrows(t *testing.T) {
	module := module(t)
	for _, p := range list(t, nil, "./...") {
		room := within(module, p.ImportPath)
		for _, file := range p.files() {
			for _, complaint := range lint(t, module, room, file, nil) {
				t.Error(complaint)
			}
		}
	}
}

func TestNothingUnwantedInTheProgram(t *testing.T) {
	module := module(t)
	for _, goos := range []string{"linux", "darwin"} {
		t.Run(goos, func(t *testing.T) {
			imports := map[string][]string{}
			for _, p := range list(t, []string{"GOOS=" + goos, "CGO_ENABLED=0"}, "-deps", ".") {
				if p.Error != nil {
					t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
				}
				imports[p.ImportPath] = p.imports()
			}
			for path := range imports {
				name := within(module, path)
				if matchAny(unwanted, name) {
					t.Errorf("the program contains %s: %s", path, chain(imports, module, path))
				}
				if matchAny(tolerated, name) {
					t.Logf("the program contains %s: %s", path, chain(imports, module, path))
				}
			}
		})
	}
}

// Each rule finds a violation.
func TestRulesBite(t *testing.T) {
	for _, test := range []struct{ room, source, complaint string }{
		{".", `import "idem/cmd"`, ""},
		{".", `import "idem/runner"`, "imports idem/runner; . may import only cmd"},
		{"runner", `import "idem/ledger"`, ""},
		{"runner", `import "idem/ledger/sqlite"`, "imports idem/ledger/sqlite; runner may import only ledger, proc, redact, sidefile, internal/fdio"},
		{"ledger", `import "idem/hashkey"`, "imports idem/hashkey; ledger may import nothing of the module"},
		{"util", ``, "util is not a room of the architecture"},
		{"test/gendoc", `import ("idem/cmd"; "os/exec"; "github.com/spf13/cobra/doc")`, ""},
		{"ledger/sqlite", `import ("database/sql"; _ "modernc.org/sqlite")`, ""},
		{"ledger", `import "database/sql"`, "imports database/sql, which only ledger/*, ledger/postgres/... may: drivers stay below ledger"},
		{"cmd", `import "os/exec"`, "imports os/exec, which only proc"},
		{"runner", `import "github.com/spf13/cobra"`, "imports github.com/spf13/cobra, which only cmd may"},
		{"cmd", `import "net/http"`, "imports net/http, which no package may"},
		{"cmd", `import "os"; func f() { os.Exit(1); println() }`, ""},
		{"runner", `import "os"; func f() { os.Exit(1) }`, "uses os.Exit, which only ., cmd may: only cmd and main exit"},
		{"runner", `import p "fmt"; var f = p.Println`, "uses fmt.Println"},
		{"runner", `func f() { println(1) }`, "uses println"},
		{"runner", `import "fmt"; var s = fmt.Sprint(1) // not fmt.Println`, ""},
		{"ledger", `import "os"; var f = os.StartProcess`, "uses os.StartProcess, which only proc, internal/detach may"},
	} {
		got := strings.Join(lint(t, "idem", test.room, "x.go", "package p; "+test.source), "\n")
		if !strings.Contains(got, test.complaint) || (got == "") != (test.complaint == "") {
			t.Errorf("%s, %s: got %q, want %q", test.room, test.source, got, test.complaint)
		}
	}
}

// lint returns the violations in one file of a room. It reads the file if source is nil.
func lint(t *testing.T, module, room, file string, source any) (complaints []string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, source, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	complain := func(n ast.Node, format string, args ...any) {
		pos := fset.Position(n.Pos())
		complaints = append(complaints, fmt.Sprintf("%s:%d: ", pos.Filename, pos.Line)+fmt.Sprintf(format, args...))
	}

	i := slices.IndexFunc(rooms, func(r rule) bool { return match(r.room, room) })
	if i < 0 {
		complain(f.Name, "%s is not a room of the architecture: give it a rule in test/arrows", room)
		return complaints
	}
	free := match("test/...", room)

	names := map[string]string{} // of the imports in this file
	for _, spec := range f.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = path
		if path == module || strings.HasPrefix(path, module+"/") {
			if allowed := rooms[i].imports; !matchAny(allowed, within(module, path)) {
				complain(spec, "imports %s; %s may import %s", path, room, onlyOr(allowed, "nothing of the module"))
			}
		}
		for _, fence := range fences {
			if !free && matchAny(fence.imports, path) && !matchAny(fence.only, room) {
				complain(spec, "imports %s, which %s may: %s", path, onlyOr(fence.only, "no package"), fence.why)
			}
		}
	}

	use := func(n ast.Node, name string) {
		for _, call := range calls {
			if !free && matchAny(call.names, name) && !matchAny(call.only, room) {
				complain(n, "uses %s, which %s may: %s", name, onlyOr(call.only, "no package"), call.why)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && names[x.Name] != "" {
				use(n, names[x.Name]+"."+n.Sel.Name)
			}
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.Ident); ok {
				use(n, fun.Name)
			}
		}
		return true
	})
	return complaints
}

// onlyOr returns "only" and the list, or none for an empty list.
func onlyOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return "only " + strings.Join(list, ", ")
}

// match reports whether a name matches a pattern: x, x* or x/* (one level), or x/... (x
// and everything below it).
func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if top, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == top || strings.HasPrefix(name, top+"/")
	}
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		rest, ok := strings.CutPrefix(name, head)
		return ok && !strings.Contains(rest, "/")
	}
	return pattern == name
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// within returns the name of a package of the module in the rules. The name of any other
// package is its path.
func within(module, path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// chain returns a shortest chain of imports from one package to another.
func chain(imports map[string][]string, from, to string) string {
	ways := [][]string{{from}}
	seen := map[string]bool{from: true}
	for len(ways) > 0 {
		way := ways[0]
		ways = ways[1:]
		last := way[len(way)-1]
		if last == to {
			return strings.Join(way, " -> ")
		}
		for _, next := range imports[last] {
			if !seen[next] {
				seen[next] = true
				ways = append(ways, append(slices.Clone(way), next))
			}
		}
	}
	return "not imported"
}

// pkg has the fields that the tests need of the output of go list -json.
type pkg struct {
	Dir, ImportPath                   string
	Imports                           []string
	ImportMap                         map[string]string
	GoFiles, CgoFiles, IgnoredGoFiles []string
	Error                             *struct{ Err string }
}

// files returns the Go files of every platform, except for tests.
func (p pkg) files() (files []string) {
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, filepath.Join(p.Dir, name))
		}
	}
	return files
}

// imports returns the paths that are imported in fact. In the standard library, a path
// may mean a vendored package.
func (p pkg) imports() (paths []string) {
	for _, path := range p.Imports {
		if mapped, ok := p.ImportMap[path]; ok {
			path = mapped
		}
		paths = append(paths, path)
	}
	return paths
}

func module(t *testing.T) string {
	t.Helper()
	// go test caches a result until a file or directory changes that the test itself has
	// opened. go list is another process, so the test opens the directories, too.
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(golist(t, nil, "-m"))
}

func list(t *testing.T, env []string, args ...string) (pkgs []pkg) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(golist(t, env, append([]string{"-e", "-json"}, args...)...)))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func golist(t *testing.T, env []string, args ...string) string {
	t.Helper()
	c := exec.Command("go", append([]string{"list"}, args...)...)
	c.Dir = "../.."
	c.Env = append(os.Environ(), env...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	return string(out)
}
