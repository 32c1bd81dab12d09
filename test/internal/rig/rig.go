// Package rig has the common code of chaos, load, bench and guarantees:
//   - a command line with parts
//   - builds of idem as in a release
//   - an environment without the variables of another idem
//   - crowds of processes
//   - figures with their machine and commit
package rig

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// Root returns the root of the module that has the working directory.
func Root() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("not inside the module: call it from the repository")
	}
	return filepath.Dir(mod), nil
}

// Build builds a package of the module ("." for idem) without cgo, as a release does. It
// returns the path of the program. flags are flags of go build.
//
// The program is a copy, as install(1) makes it. The file that the linker writes starts
// 10 % slower, because of its layout in the page cache.
func Build(pkg, program string, flags ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	// In a separate directory, because several processes may build the same program.
	dir, err := os.MkdirTemp(filepath.Dir(program), "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	linked, copied := filepath.Join(dir, "linked"), filepath.Join(dir, "copied")
	c := exec.Command("go", append(append([]string{"build", "-o", linked}, flags...), pkg)...)
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	// cp is a separate process. If this process wrote the file, one of its children could
	// inherit the open descriptor, and then the file could not be executed.
	if out, err := exec.Command("cp", linked, copied).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cp %s: %w\n%s", linked, err, out)
	}
	return program, os.Rename(copied, program)
}

// Setup makes a directory for the files of a program with this name. It returns the
// directory, the path of this program, and the path of the idem to test: program, or
// one that is built here if program is "".
func Setup(name, program string) (dir, self, idem string, err error) {
	if self, err = os.Executable(); err != nil {
		return
	}
	if dir, err = os.MkdirTemp("", "idem-"+name+"-"); err != nil {
		return
	}
	if program == "" {
		idem, err = Build(".", filepath.Join(dir, "idem"))
		return
	}
	if idem, err = filepath.Abs(program); err == nil {
		_, err = exec.LookPath(idem)
	}
	return
}

// Watch reads all directories of the module, which makes a test depend on all files.
// The command go test caches the result of a test until a file changes that the test has
// opened.
func Watch() error {
	root, err := Root()
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
}

// Environ returns the environment without the variables IDEM_*, and with more. This
// program may itself run below idem.
func Environ(more ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "IDEM_") {
			env = append(env, kv)
		}
	}
	return append(env, more...)
}

// Table is a list of named figures, in the order in which they were added.
type Table struct {
	rows   [][2]string
	counts []Count
}

// Count is a figure that is one number.
type Count struct {
	Name string  `json:"name"`
	N    float64 `json:"n"`
}

// Count adds a row that is one number, which Counts also returns.
func (t *Table) Count(name string, n int) {
	t.Add(name, "%d", n)
	t.count(name, float64(n))
}

// Measure adds a row that is one measured number, which Counts also returns.
func (t *Table) Measure(name string, x float64) {
	x = math.Round(x*100) / 100
	t.Add(name, "%.2f", x)
	t.count(name, x)
}

func (t *Table) count(name string, x float64) {
	t.counts = append(t.counts, Count{strings.TrimSpace(name), x})
}

// Counts returns the rows that are one number.
func (t *Table) Counts() []Count { return t.counts }

// Add adds a row.
func (t *Table) Add(name, format string, args ...any) {
	t.rows = append(t.rows, [2]string{name, fmt.Sprintf(format, args...)})
}

// Print writes the rows.
func (t *Table) Print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range t.rows {
		fmt.Fprintf(tw, "  %s\t%s\n", r[0], r[1])
	}
	_ = tw.Flush() // the only error is of w
}
