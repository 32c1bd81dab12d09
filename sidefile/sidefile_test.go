package sidefile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"idem/ledger"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dir is the directory of one test.
type dir struct {
	testing.TB
	root string
}

func (d dir) path(name string) string { return filepath.Join(d.root, name) }

func (d dir) write(name, content string) {
	d.Helper()
	must(d, os.WriteFile(d.path(name), []byte(content), 0o600))
}

func (d dir) read(name string) string {
	d.Helper()
	b, err := os.ReadFile(d.path(name))
	must(d, err)
	return string(b)
}

func TestFileOf(t *testing.T) {
	t.Parallel()
	auto := File{"OUTPUT", 0, "/a"}
	one, two := File{"x", 1, "x"}, File{"y", 2, "y"}
	recOne, recTwo, recAuto := ledger.File{Name: "x", Place: 1}, ledger.File{Name: "y", Place: 2}, ledger.File{Name: "OUTPUT"}
	for _, test := range []struct {
		name     string
		files    []File
		recorded []ledger.File
		want     string // the path for each recorded file, - for none
	}{
		{"the same", []File{auto, one, two}, []ledger.File{recAuto, recOne, recTwo}, "/a x y"},
		{"another order", []File{{"y", 1, "y"}, {"x", 2, "x"}}, []ledger.File{recOne, recTwo}, "x y"},
		{"other paths", []File{{"v", 1, "v"}, {"w", 2, "w"}}, []ledger.File{recOne, recTwo}, "v w"},
		{"one other path", []File{{"v", 1, "v"}, two}, []ledger.File{recOne, recTwo}, "v y"},
		{"only the second has content", []File{{"v", 1, "v"}, {"w", 2, "w"}}, []ledger.File{recTwo}, "w"},
		{"the first is left out", []File{{"y", 1, "y"}}, []ledger.File{recOne, recTwo}, "- y"},
		{"none", nil, []ledger.File{recAuto, recOne}, "- -"},
		{"a name has no place", []File{{"v", 1, "v"}}, []ledger.File{recAuto}, "-"},
		{"another name", []File{{"ENV", 0, "/e"}}, []ledger.File{recAuto}, "-"},
		{"a place is no name", []File{auto}, []ledger.File{recOne}, "-"},
	} {
		var got []string
		for i := range test.recorded {
			f, ok := fileOf(test.files, test.recorded, i)
			if !ok {
				f.Path = "-"
			}
			got = append(got, f.Path)
		}
		if s := strings.Join(got, " "); s != test.want {
			t.Errorf("%s: got %s, want %s", test.name, s, test.want)
		}
	}
}

// If a write fails, the earlier additions are removed again, unless another
// process has appended to the file since then.
func TestFailedAppendIsTakenBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		others bool
		want   string
	}{
		{"no other process", false, "before\n"},
		{"another process", true, "before\nnew\nother\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := dir{t, t.TempDir()}
			d.write("a", "before\n")
			var r Replay
			for _, path := range []string{d.path("a"), "/dev/full"} {
				f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
				must(t, err)
				defer f.Close()
				r = append(r, addition{name: path, to: f, content: []byte("new\n")})
			}
			if test.others {
				must(t, r[:1].Append())
				d.write("a", d.read("a")+"other\n")
				if r[:1].takeBack() == nil {
					t.Error("no error names the file")
				}
			} else if err := r.Append(); !errors.As(err, new(*Error)) || !errors.Is(err, unix.ENOSPC) {
				t.Errorf("got error %v", err)
			}
			if got := d.read("a"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	d := dir{t, t.TempDir()}
	d.write("f", "x")
	must(t, os.Symlink("f", d.path("link")))
	must(t, os.Symlink("missing", d.path("dangling")))
	must(t, unix.Mkfifo(d.path("pipe"), 0o600))
	for _, good := range []string{"f", "link", "dangling", "missing"} {
		if err := Check(d.path(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"pipe", "", "no/file", "f/x", "f/", "missing/"} {
		if err := Check(d.path("") + "/" + bad); !errors.As(err, new(*Error)) {
			t.Errorf("%q: got error %v", bad, err)
		}
	}
	if err := Check(os.DevNull); !errors.As(err, new(*Error)) {
		t.Errorf("got error %v", err)
	}
}

// A file to which another process appends between measuring and reading does not
// count as rewritten.
func TestMeasureWhileTheFileGrows(t *testing.T) {
	t.Parallel()
	d := dir{t, t.TempDir()}
	d.write("f", "old\n")
	e, err := measure(File{Name: "f", Path: d.path("f")})
	must(t, err)
	f, err := os.OpenFile(d.path("f"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer f.Close()
	want := []byte{}
	for range 100 {
		want = append(want, "line\n"...)
		_, err := f.WriteString("line\n")
		must(t, err)
		if got, _, err := e.added(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}
