package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"idem/cmd"
	"idem/internal/testkit"
	"idem/test/internal/rig"
)

// requireTool returns the path of a program.
func requireTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		testkit.Missing(t, name)
	}
	return path
}

// written writes the pages, and returns their files.
func written(t *testing.T, dir string) []string {
	t.Helper()
	if err := run(dir, "1.2.3", "2026-11-22"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 25 {
		t.Fatalf("got the pages %q, error %v, want one for each command and more", files, err)
	}
	return files
}

// rendered returns a page as man shows it on a terminal of 80 columns.
func rendered(t *testing.T, file string) string {
	t.Helper()
	c := exec.Command(requireTool(t, "man"), "-l", file)
	c.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MANPAGER=cat", "GROFF_NO_SGR=1", "MANOPT=", "MAN_KEEP_FORMATTING=")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil || errs.Len() > 0 {
		t.Fatalf("man -l %s: got error %v and %q, want none", filepath.Base(file), err, errs.String())
	}
	return out.String()
}

// The pages as mandoc, man-db and a reader see them.
func TestPages(t *testing.T) {
	files := written(t, t.TempDir())
	pages := map[string]string{}
	for _, file := range files {
		pages[filepath.Base(file)] = rendered(t, file)
	}
	t.Run("no fault", func(t *testing.T) {
		out, err := exec.Command(requireTool(t, "mandoc"), append([]string{"-T", "lint", "-W", "warning"}, files...)...).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("mandoc: got error %v and %s, want silence", err, out)
		}
		if out, err := exec.Command(requireTool(t, "lexgrog"), files...).CombinedOutput(); err != nil {
			t.Errorf("lexgrog: got error %v and %s, want a description of each page", err, out)
		}
	})
	t.Run("80 columns", func(t *testing.T) {
		for name, page := range pages {
			for line := range strings.Lines(page) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
					t.Errorf("%s: got a line of %d columns, want at most 80: %s", name, n, line)
				}
			}
		}
	})
	t.Run("references", func(t *testing.T) {
		for name, page := range pages {
			refs := regexp.MustCompile(`(idem[a-z-]*)\(([0-9])\)`).FindAllStringSubmatch(page, -1)
			if len(refs) < 5 {
				t.Errorf("%s: got the references %q, want some", name, refs)
			}
			for _, r := range refs {
				if pages[r[1]+"."+r[2]] == "" {
					t.Errorf("%s: got %s, want a page of that name", name, r[0])
				}
			}
		}
	})
	t.Run("docs", func(t *testing.T) {
		leads := 0
		for name, page := range pages {
			for _, file := range regexp.MustCompile(`docs/[a-z.]*[a-z]`).FindAllString(page, -1) {
				leads++
				if _, err := os.Stat(filepath.Join("../..", file)); err != nil {
					t.Errorf("%s: got %v, want a file", name, err)
				}
				if !strings.Contains(page, "below share/doc.") {
					t.Errorf("%s: got %s, want it to say where docs are", name, file)
				}
			}
		}
		if leads == 0 {
			t.Error("got no page that leads to docs, want some")
		}
	})
	idem, err := rig.Build(".", filepath.Join(t.TempDir(), "idem"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("help", func(t *testing.T) { pagesHaveTheHelp(t, idem, pages) })
	t.Run("not in the program", func(t *testing.T) {
		symbols, err := exec.Command("go", "tool", "nm", idem).Output()
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"idem/cmd.Main": true, "idem/cmd.HelpManual": false, "idem/cmd.manualCommand": false} {
			if got := bytes.Contains(symbols, []byte(" "+name+"\n")); got != want {
				t.Errorf("idem has %s: got %v, want %v: the manual must not cost a start", name, got, want)
			}
		}
	})
}

// pagesHaveTheHelp checks that the page of a command has an entry for each flag and each exit
// status that the program shows with --help.
func pagesHaveTheHelp(t *testing.T, idem string, pages map[string]string) {
	flag := regexp.MustCompile(`^ {2,6}(?:-\w, )?(--[a-z-]+)`)
	status := regexp.MustCompile(`^  ([0-9]{1,3}|128\+n|other) `)
	for _, c := range cmd.HelpManual().Commands {
		help, err := exec.Command(idem, append(strings.Fields(c.Path)[1:], "--help")...).Output()
		if err != nil {
			t.Fatalf("%s --help: %v", c.Path, err)
		}
		found := 0
		for line := range strings.Lines(string(help)) {
			want := ""
			if m := flag.FindStringSubmatch(line); m != nil {
				want = `(?m)^ {7}(-\w, )?` + m[1] + `\b`
			} else if m := status.FindStringSubmatch(line); m != nil {
				want = `(?m)^ {7}` + regexp.QuoteMeta(m[1]) + `( |$)`
			} else {
				continue
			}
			found++
			if !regexp.MustCompile(want).MatchString(pages[pageName(c.Path)+".1"]) {
				t.Errorf("%s: the page has no match of %s, want the entry of %q", c.Path, want, line)
			}
		}
		if found < 3 {
			t.Errorf("%s --help: got %d flags and statuses, want some", c.Path, found)
		}
	}
}

// Each character of a text is on the page, also where roff would read a request.
func TestTextIsEscaped(t *testing.T) {
	odd := []string{
		".TH is not a request", "'br neither", `a \fBbackslash\fR \(aq \\`, `"quoted" 'text' ` + "`code`", "--flag - -x ~/x ^y",
		"50 % of $HOME", "ä … ×", ".", "'", `\`,
	}
	p := &page{name: "idem-odd", volume: 7, about: `odd "text" \ and -x`}
	var list block
	for _, s := range odd {
		list.tagged = append(list.tagged, item{[]inline{{'B', s}}, []block{{text: []inline{{0, "the text " + s}}}}})
	}
	p.add(`"ODD" \ -X`, block{code: odd}, list, block{bullets: [][]block{{{text: []inline{{0, odd[0]}}}}}})
	file := filepath.Join(t.TempDir(), p.file())
	if err := os.WriteFile(file, []byte(p.roff("1.2.3", "2026-11-22")), 0o644); err != nil {
		t.Fatal(err)
	}
	mandoc, err := exec.Command(requireTool(t, "mandoc"), "-T", "utf8", "-W", "warning", "-O", "width=78", file).Output()
	if err != nil {
		t.Errorf("mandoc: got %v, want no fault", err)
	}
	for program, text := range map[string]string{"man": rendered(t, file), "mandoc": regexp.MustCompile(".\b").ReplaceAllString(string(mandoc), "")} {
		for _, s := range append(slices.Clone(odd), `odd "text" \ and -x`, `"ODD" \ -X`) {
			s = strings.ReplaceAll(s, "…", "...")
			want := 3
			if strings.HasPrefix(strings.ToLower(s), "odd") || strings.HasPrefix(s, `"ODD`) {
				want = 1
			}
			if got := strings.Count(text, s); got < want {
				t.Errorf("%s: got %q %d times, want %d or more:\n%s", program, s, got, want, text)
			}
		}
	}
}

// Two calls write the same bytes, and the date is the one that was given.
func TestPagesAreReproducible(t *testing.T) {
	one, other := written(t, t.TempDir()), written(t, t.TempDir())
	for i := range one {
		a, _ := os.ReadFile(one[i])
		b, _ := os.ReadFile(other[i])
		if len(a) == 0 || !bytes.Equal(a, b) || filepath.Base(one[i]) != filepath.Base(other[i]) {
			t.Errorf("%s: got different pages, want the same", filepath.Base(one[i]))
		}
		if !bytes.Contains(a, []byte(` 2026-11-22 "idem 1.2.3" `)) {
			t.Errorf("%s: got no date or version, want them", filepath.Base(one[i]))
		}
	}
	for _, date := range []string{"", "22 November", "2026-13-01"} {
		if err := run(t.TempDir(), "1", date); err == nil {
			t.Errorf("date %q: got no error, want one", date)
		}
	}
}
