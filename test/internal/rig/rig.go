// Package rig is what the programs share that put idem to the proof: building
// it as it is shipped, an environment without traces of another idem, and
// tables of figures.
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

// Root returns the directory of the module that the caller stands in.
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

// Build builds a package of the module, "." for idem itself, as releases do:
// without cgo, and with more flags where given. It returns the path of the
// program, which is a copy, as install(1) makes one: what the linker itself has
// written starts 10 % slower, because of how it lies in the page cache.
func Build(pkg, program string, flags ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	// In a directory of its own, since several may build the same.
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
	// Not by ourselves: what we start meanwhile would have it open for writing.
	if out, err := exec.Command("cp", linked, copied).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cp %s: %w\n%s", linked, err, out)
	}
	return program, os.Rename(copied, program)
}

// Setup makes a directory for what a program named so leaves, and returns it
// with the path of this very program, which is also its helpers', and that of
// the idem to try: program, or one built here when that is empty.
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

// Watch looks at all directories of the module. go test repeats the result of a
// test until something changes that the test has looked at; without this it
// would not know that a test of ours depends on the whole program.
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

// Environ returns our environment without what an idem around us has left in
// it, and with more.
func Environ(more ...string) []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "IDEM_") {
			env = append(env, kv)
		}
	}
	return append(env, more...)
}

// Table is figures with their names, in the order of adding.
type Table struct {
	rows   [][2]string
	counts []Count
}

// Count is a figure that is one number.
type Count struct {
	Name string  `json:"name"`
	N    float64 `json:"n"`
}

// Count adds a row that is one number, which Counts returns as well.
func (t *Table) Count(name string, n int) {
	t.Add(name, "%d", n)
	t.count(name, float64(n))
}

// Measure adds a row that is one measured number, which Counts returns as well.
func (t *Table) Measure(name string, x float64) {
	x = math.Round(x*100) / 100
	t.Add(name, "%.2f", x)
	t.count(name, x)
}

func (t *Table) count(name string, x float64) {
	t.counts = append(t.counts, Count{strings.TrimSpace(name), x})
}

// Counts are the rows that are one number.
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
	_ = tw.Flush() // w is what it reports for
}
