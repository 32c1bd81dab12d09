// Package arrows holds the code to the rooms of its architecture: who may
// import whom, who may print, exit or start a process, and what the program
// may not contain.
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

// Packages are written as below the module: "." is main, "ledger/*" is one
// level below ledger, "test/..." is scripts and all below it. The rules hold
// for the files of every platform, but not for _test.go files.

// rooms says what each package may import of the module itself.
var rooms = []struct {
	room string
	may  []string
}{
	{".", []string{"cmd", "internal/entry"}},
	{"cmd", []string{"runner", "inputs", "proc", "hashkey", "redact", "sidefile", "ledger", "ledger/none", "ledger/drivers"}},
	{"runner", []string{"ledger", "proc", "redact", "sidefile", "internal/fdio"}},
	{"proc", []string{"internal/failpoint", "internal/fdio", "internal/rawsig"}},
	{"inputs", []string{"hashkey", "internal/lenprefix"}},
	{"hashkey", []string{"internal/lenprefix"}},
	{"redact", nil},
	{"sidefile", []string{"ledger"}},
	{"ledger", nil},
	{"ledger/spool", []string{"ledger", "internal/fdio"}},
	{"ledger/none", []string{"ledger", "ledger/spool"}},
	{"ledger/drivers", []string{"ledger", "ledger/sqlite", "ledger/postgres"}},
	{"ledger/localdir", []string{"ledger", "internal/failpoint"}},
	{"ledger/filelock", []string{"ledger", "ledger/localdir", "internal/lenprefix"}},
	{"ledger/sqlite", []string{"ledger", "ledger/spool", "ledger/localdir", "ledger/filelock", "internal/failpoint", "internal/lenprefix"}},
	{"ledger/postgres", []string{"ledger", "ledger/spool", "ledger/localdir", "ledger/filelock"}},
	{"ledger/ledgertest", []string{"ledger", "ledger/spool"}}, // for tests only, see unwanted
	{"internal/entry", nil},
	{"internal/rawsig", nil},
	{"internal/lenprefix", nil},
	{"internal/fdio", nil},
	{"internal/failpoint", nil},   // nothing, as it is shipped
	{"internal/testkit", nil},     // for tests only, see unwanted
	{"test/...", []string{"..."}}, // no part of the program
}

// fences says which packages alone may import what lies outside the module.
var fences = []struct {
	imports []string
	only    []string
	why     string
}{
	{[]string{"database/sql/...", "modernc.org/...", "github.com/jackc/..."}, []string{"ledger/*"}, "drivers stay below ledger"},
	{[]string{"os/exec"}, []string{"proc", "ledger/ledgertest"}, "only proc starts processes"},
	{[]string{"github.com/spf13/..."}, []string{"cmd"}, "only cmd knows the command line"},
	{[]string{"net/http/...", "text/template/...", "html/template"}, nil, "they cost every start of the program"},
}

// calls says which packages alone may use a name of the standard library, or a
// builtin. A star stands for the rest of the name.
var calls = []struct {
	names []string
	only  []string
	why   string
}{
	{[]string{"fmt.Print*", "log.Print*", "print", "println"}, []string{".", "cmd"}, "only cmd prints"},
	{[]string{"os.Exit", "log.Fatal*"}, []string{".", "cmd"}, "only cmd and main exit"},
	{[]string{"os.StartProcess", "syscall.StartProcess", "syscall.ForkExec"}, []string{"proc"}, "only proc starts processes"},
}

// unwanted may be in the program under no circumstances, whoever imports it.
var unwanted = []string{
	"testing/...", "net/http/httptest", "ledger/ledgertest", "internal/testkit",
	"pgregory.net/rapid/...", "github.com/google/go-cmp/...", "github.com/rogpeppe/go-internal/...",
	"github.com/stretchr/...", "github.com/anishathalye/porcupine/...", "github.com/goccy/...",
}

// tolerated may be in the program if others bring it along; the log says who.
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

// Each rule must find what it is there to find.
func TestRulesBite(t *testing.T) {
	for _, test := range []struct{ room, source, complaint string }{
		{".", `import "idem/cmd"`, ""},
		{".", `import "idem/runner"`, "imports idem/runner; . may import only cmd"},
		{"runner", `import "idem/ledger"`, ""},
		{"runner", `import "idem/ledger/sqlite"`, "imports idem/ledger/sqlite; runner may import only ledger, proc, redact, sidefile, internal/fdio"},
		{"ledger", `import "idem/hashkey"`, "imports idem/hashkey; ledger may import nothing of the module"},
		{"util", ``, "util is no room of the architecture"},
		{"test/gendoc", `import ("idem/cmd"; "os/exec"; "github.com/spf13/cobra/doc")`, ""},
		{"ledger/sqlite", `import ("database/sql"; _ "modernc.org/sqlite")`, ""},
		{"ledger", `import "database/sql"`, "imports database/sql, which only ledger/* may: drivers stay below ledger"},
		{"cmd", `import "os/exec"`, "imports os/exec, which only proc"},
		{"runner", `import "github.com/spf13/cobra"`, "imports github.com/spf13/cobra, which only cmd may"},
		{"cmd", `import "net/http"`, "imports net/http, which nobody may"},
		{"cmd", `import "os"; func f() { os.Exit(1); println() }`, ""},
		{"runner", `import "os"; func f() { os.Exit(1) }`, "uses os.Exit, which only ., cmd may: only cmd and main exit"},
		{"runner", `import p "fmt"; var f = p.Println`, "uses fmt.Println"},
		{"runner", `func f() { println(1) }`, "uses println"},
		{"runner", `import "fmt"; var s = fmt.Sprint(1) // not fmt.Println`, ""},
		{"ledger", `import "os"; var f = os.StartProcess`, "uses os.StartProcess, which only proc may"},
	} {
		got := strings.Join(lint(t, "idem", test.room, "x.go", "package p; "+test.source), "\n")
		if !strings.Contains(got, test.complaint) || (got == "") != (test.complaint == "") {
			t.Errorf("%s, %s: got %q, want %q", test.room, test.source, got, test.complaint)
		}
	}
}

// lint returns what is wrong with one file of a room. The source is read from
// the file unless given.
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

	rule := slices.IndexFunc(rooms, func(r struct {
		room string
		may  []string
	},
	) bool {
		return match(r.room, room)
	})
	if rule < 0 {
		complain(f.Name, "%s is no room of the architecture: give it a rule in test/arrows", room)
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
			if may := rooms[rule].may; !matchAny(may, within(module, path)) {
				complain(spec, "imports %s; %s may import %s", path, room, onlyOr(may, "nothing of the module"))
			}
		}
		for _, fence := range fences {
			if !free && matchAny(fence.imports, path) && !matchAny(fence.only, room) {
				complain(spec, "imports %s, which %s may: %s", path, onlyOr(fence.only, "nobody"), fence.why)
			}
		}
	}

	use := func(n ast.Node, name string) {
		for _, call := range calls {
			if !free && matchAny(call.names, name) && !matchAny(call.only, room) {
				complain(n, "uses %s, which %s may: %s", name, onlyOr(call.only, "nobody"), call.why)
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

func onlyOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return "only " + strings.Join(list, ", ")
}

// match tells whether a name fits a pattern: x, x* or x/* (one level), x/... (x and all below).
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

// within names a package of the module as the rules do; others keep their path.
func within(module, path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

// chain is a shortest way of imports from one package to another.
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
	return "imported by nobody"
}

// pkg is what go list tells of a package.
type pkg struct {
	Dir, ImportPath                   string
	Imports                           []string
	ImportMap                         map[string]string
	GoFiles, CgoFiles, IgnoredGoFiles []string
	Error                             *struct{ Err string }
}

// files are the Go files of every platform, tests aside.
func (p pkg) files() (files []string) {
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.IgnoredGoFiles) {
		if !strings.HasSuffix(name, "_test.go") {
			files = append(files, filepath.Join(p.Dir, name))
		}
	}
	return files
}

// imports are the paths that were really imported: the standard library vendors.
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
	// go test caches a result until a file or directory changes that the test
	// itself opened, so it has to open what go list reads.
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
