package cmd_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const readmeFile = "../README.md"

// TestREADMESize keeps the README short enough to be read in a few minutes.
func TestREADMESize(t *testing.T) {
	readme, err := os.ReadFile(readmeFile)
	if err != nil {
		t.Fatal(err)
	}
	if lines, words := bytes.Count(readme, []byte("\n")), len(bytes.Fields(readme)); lines > 150 || words > 1200 {
		t.Errorf("README.md has %d lines and %d words, want at most 150 and 1200; details belong in docs/guide.md", lines, words)
	}
}

// step is a command of a transcript with the lines that it prints.
type step struct {
	command string
	want    []string
}

// transcript returns the steps of a console block.
func transcript(text string) []step {
	var steps []step
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, step{command: command})
		} else if len(steps) > 0 {
			last := &steps[len(steps)-1]
			last.want = append(last.want, line)
		}
	}
	return steps
}

// elided is a line of a transcript in place of any number of lines, or the end of
// a line in place of its rest.
const elided = "…"

// changing matches the parts of a message that differ from run to run.
var changing = regexp.MustCompile(`[0-9]{4}-[0-9-]{5}T[0-9:]{8}Z \([^)]*\)|by \S+@\S+ \(pid [0-9]+\)`)

// sameLines reports whether got equals want, apart from times, owners and
// elisions.
func sameLines(got, want []string) bool {
	for i, w := range want {
		if w == elided {
			for n := i; n <= len(got); n++ {
				if sameLines(got[n:], want[i+1:]) {
					return true
				}
			}
			return false
		}
		if start, ok := strings.CutSuffix(w, " "+elided); ok && i < len(got) && strings.HasPrefix(got[i], start) {
			continue
		}
		if i == len(got) || changing.ReplaceAllString(got[i], "~") != changing.ReplaceAllString(w, "~") {
			return false
		}
	}
	return len(got) == len(want)
}

// TestREADMETranscript types the README's transcript and compares what the
// terminal shows.
func TestREADMETranscript(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	steps := transcript(pageBlock(t, readmeFile, "$ cat pay.sh"))
	if len(steps) < 6 {
		t.Fatalf("got %d commands in the transcript, want at least 6", len(steps))
	}
	for _, s := range steps {
		if file, ok := strings.CutPrefix(s.command, "cat "); ok && strings.HasSuffix(file, ".sh") {
			k.script(file, strings.Join(s.want, "\n")+"\n")
			continue
		}
		x := k.box.open("bash", "-c", s.command)
		status := x.end()
		// A reader of the README uses the default ledger, which hints leave out.
		shown := strings.NewReplacer("\r\n", "\n", " --ledger "+k.ledger, "").Replace(x.all())
		got := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
		if status.Signaled() && status.Signal() == syscall.SIGKILL { // bash has become the command, so bash cannot print the kill as a caller's shell does
			got = append(got, "Killed")
		}
		if !sameLines(got, s.want) {
			t.Errorf("$ %s\ngot:\n%s\nwant:\n%s", s.command, strings.Join(got, "\n"), strings.Join(s.want, "\n"))
		}
	}
}

func TestSameLines(t *testing.T) {
	t.Parallel()
	got := []string{"a 2026-11-28T09:30:02Z (now)", "b", "by x@y (pid 7)"}
	for _, test := range []struct {
		want string
		same bool
	}{
		{"a 2020-01-01T00:00:00Z (1 day ago)|b|by me@here (pid 1)", true},
		{"…", true},
		{"…|by me@here (pid 1)", true},
		{"a 2020-01-01T00:00:00Z (now)|…|b|…", true},
		{"…|c|…", false},
		{"a now|…", false},
		{"a …|b|by …", true},
		{"…|b", false},
	} {
		if same := sameLines(got, strings.Split(test.want, "|")); same != test.same {
			t.Errorf("sameLines(%q) = %t, want %t", test.want, same, test.same)
		}
	}
}

// TestREADMEScript runs the script of the README until no step fails.
func TestREADMEScript(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	steps := []string{"charge", "reserve", "mail"}
	for _, name := range steps {
		k.script(name+".sh", `echo "`+name+` $*" >>log; echo `+name+`-1; test -e `+name)
	}
	script := pageBlock(t, readmeFile, "idem step")
	k.script("order.sh", strings.Replace(script, " --retries 3", "", 1)) // which would wait
	for i, name := range steps {
		k.wantStatus(k.runRecipe("./order.sh 7"), 1)
		k.wantLines("log", 2*i+1)
		k.write(name, "")
	}
	for range 2 {
		k.wantStatus(k.runRecipe("./order.sh 7"), 0)
	}
	if got, want := k.read("log"), "charge 7\ncharge 7\nreserve 7\nreserve 7\nmail 7 charge-1\nmail 7 charge-1\n"; got != want {
		t.Errorf("log: got %q, want %q", got, want)
	}
}

// TestREADMEBatch runs the batch of the README until no item fails, and once more.
func TestREADMEBatch(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	k.script("psql", `printf '%s\n' 1 2 3`)
	k.script("invoice.sh", `echo "$1" >>log; test "$1" != 2 || test -e up`)
	batch := strings.Replace(pageBlock(t, readmeFile, "idem each"), " --retries 3", "", 1)
	r := k.wantStatus(k.runRecipe(batch), 0) // the status is that of idem list
	if !strings.Contains(r.out, "invoices-2026-11/2") {
		t.Errorf("got %q, want the failed item", r.out)
	}
	k.write("up", "")
	for range 2 {
		if r := k.wantStatus(k.runRecipe(batch), 0); r.out != "" {
			t.Errorf("got %q, want no failed item", r.out)
		}
	}
	k.wantLines("log", 4)
}

// TestREADMECron runs the README's cron line as cron does.
func TestREADMECron(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	fields := strings.SplitN(strings.TrimSpace(pageBlock(t, readmeFile, "* * *")), " ", 6) // as crontab(5)
	if len(fields) != 6 || !slices.Contains(strings.Fields(fields[5]), "idem") {
		t.Fatalf("got %q, want a cron line", fields)
	}
	k.script("rsync", `echo "$@" >>log; echo no route >&2; test -e up`)
	if r := k.wantStatus(k.runRecipe(fields[5]), 1); r.err == "" {
		t.Error("got no stderr for a failure, want a message that cron mails")
	}
	k.write("up", "")
	for range 3 {
		if r := k.wantStatus(k.runRecipe(fields[5]), 0); r.out+r.err != "" {
			t.Errorf("got output %q, %q that cron would mail, want none", r.out, r.err)
		}
	}
	k.wantLines("log", 2)
}

// TestGuideDerivedKey runs the guide's call without a key twice.
func TestGuideDerivedKey(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	k.script("backup.sh", "echo x >>side")
	for range 2 {
		k.wantStatus(k.runRecipe(pageBlock(t, "../docs/guide.md", "idem run --per day")), 0)
	}
	k.wantLines("side", 1)
}

// TestGuideProbe interrupts the guide's call with a probe. The next call runs the
// command again, because the probe says that it was not done; the one after that
// replays.
func TestGuideProbe(t *testing.T) {
	t.Parallel()
	k := newRecipeBox(t, nil)
	charge := "order=7; " + pageBlock(t, "../docs/guide.md", "--probe")
	k.script("charge.sh", `echo x >>side; until [ -e go ]; do sleep 0.01; done; echo "$IDEM_TOKEN" >>charged`)
	k.script("charged.sh", `echo asked >>probes; grep -qx "$1" charged`)
	k.write("charged", "")
	first := k.startRecipe(charge)
	k.waitLines("side", 1)
	first.killAll()
	k.write("go", "")
	k.wantStatus(k.runRecipe(charge), 0)
	k.wantStatus(k.runRecipe(charge), 0)
	k.wantLines("side", 2)
	k.wantLines("charged", 1)
	k.wantLines("probes", 1)
}

// TestDocumentLinks checks that each relative link of a page leads to a file and,
// after a #, to a heading of it. docs/README.md leads to each page of docs.
func TestDocumentLinks(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("got error %v and the pages %q, want at least 5 pages", err, pages)
	}
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	links := map[string][]string{} // the files that a page has links to
	for _, page := range append(pages, readmeFile, "../CHANGELOG.md", "../CONTRIBUTING.md") {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(readFile(t, page), ""), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			links[page] = append(links[page], target)
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link to %s: got %v, want a file", page, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(readFile(t, target)), anchor) {
				t.Errorf("%s: the link to %s: got no such heading, want one", page, m[1])
			}
		}
	}
	const index = "../docs/README.md"
	for _, page := range pages {
		if page != index && !slices.Contains(links[index], page) {
			t.Errorf("%s: got no link to %s, want one", index, page)
		}
	}
}

// fenced matches a block of code, in which # begins no heading.
var fenced = regexp.MustCompile("(?sm)^```.*?^```")

// anchors returns the fragments by which GitHub links to the headings of a
// page.
func anchors(page string) []string {
	var names []string
	for line := range strings.Lines(fenced.ReplaceAllString(page, "")) {
		if text := strings.TrimLeft(line, "#"); text != line {
			text = regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(text)), "")
			names = append(names, strings.ReplaceAll(text, " ", "-"))
		}
	}
	return names
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
