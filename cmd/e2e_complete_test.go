package cmd_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// completing is an interactive shell with the completion of idem.
type completing struct {
	*terminal
	asked int
}

const (
	tab       = "\t"
	writeLine = "\x14" // Ctrl-T adds the line that is being typed to the file lines
	clearLine = "\x15"
	tries     = 20
)

const bashCompletion = "/usr/share/bash-completion/bash_completion"

// The shells in which each completion is tried, with the lines that prepare them. No test can be
// about a script alone: readline, zle and fish insert what it says each in another way.
var completingShells = map[string]struct {
	argv    []string
	prepare string
	needs   string // a file
}{
	"bash": {
		[]string{"bash", "--norc", "--noprofile", "-i"},
		`. <(idem completion bash); bind -x '"\C-t": printf "%s\n" "$READLINE_LINE" >>lines'; PS1=REA''DY\>`, "",
	},
	"bash without a break at colons": {
		[]string{"bash", "--norc", "--noprofile", "-i"},
		`COMP_WORDBREAKS=${COMP_WORDBREAKS//:}; . <(idem completion bash); bind -x '"\C-t": printf "%s\n" "$READLINE_LINE" >>lines'; PS1=REA''DY\>`, "",
	},
	"bash with bash-completion": {
		[]string{"bash", "--norc", "--noprofile", "-i"},
		". " + bashCompletion + `; . <(idem completion bash); bind -x '"\C-t": printf "%s\n" "$READLINE_LINE" >>lines'; PS1=REA''DY\>`, bashCompletion,
	},
	"zsh": {
		[]string{"zsh", "-f", "-i"},
		`autoload -U compinit; compinit -u -D; . <(idem completion zsh); w() { print -r -- "$BUFFER" >>lines; }; zle -N w; bindkey '^T' w; PS1=REA''DY\>`, "",
	},
	"fish": {
		[]string{"fish", "--no-config", "-i"},
		`idem completion fish | source; function w; commandline >>lines; end; bind \ct w; function fish_prompt; echo REA''DY\>; end`, "",
	},
}

// complete opens a shell in which idem is completed.
func (b *box) complete(name string) *completing {
	b.t.Helper()
	shell := completingShells[name]
	if shell.needs != "" {
		if _, err := os.Stat(shell.needs); err != nil {
			skipMissing(b.t, shell.needs)
		}
	}
	b.env = append(b.env, "TERM=xterm", "LC_ALL=C.UTF-8", "INPUTRC=/dev/null")
	c := &completing{terminal: b.open(shell.argv...)}
	c.resize(50, 120)
	c.typeKeys(shell.prepare + "\r")
	c.waitShown("READY>") // from then on, the shell edits the line itself
	return c
}

// line types keys and returns the line that the shell then has, without a space at its end.
func (c *completing) line(keys string) string {
	c.b.t.Helper()
	c.asked++
	c.typeKeys(keys + writeLine + clearLine)
	c.b.waitLines("lines", c.asked)
	all := strings.Split(c.b.read("lines"), "\n")
	return strings.TrimRight(all[c.asked-1], " ")
}

func TestCompletionInShells(t *testing.T) {
	t.Parallel()
	for name := range completingShells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			for _, key := range []string{"order:4711:charge", "order:4712:mail@x", "deploy:prod/eu", `new\slash`, "newslash", "two words", "it's $HOME", "*star"} {
				b.wantStatus(b.run("run", "--key", key, "--", "true"), 0)
			}
			b.wantStatus(b.run("run", "--key", "backup", "--per", "day", "--at", "2026-11-22T12:00:00Z", "--", "true"), 0)
			b.wantStatus(b.run("run", "--namespace", "staging", "--key", "only:there", "--", "true"), 0)
			b.write("fileA", "")
			b.script("shellchecker", "#!/bin/sh\n")
			testMust(t, os.Mkdir(b.path("dirA"), 0o700))
			c := b.complete(name)
			for keys, want := range map[string]string{
				"idem sho":                        "idem show",
				"idem show order:4711:c":          "idem show order:4711:charge",
				"idem show order:4712":            "idem show order:4712:mail@x",
				"idem show order:4712:mail@":      "idem show order:4712:mail@x",
				"idem show or":                    "idem show order:471",
				"idem logs -n 3 deploy:prod/":     "idem logs -n 3 deploy:prod/eu",
				"idem run --key dep":              "idem run --key deploy:prod/eu",
				"idem run --key=dep":              "idem run --key=deploy:prod/eu",
				"idem show two":                   `idem show two\ words`,
				`idem show "two`:                  `idem show "two words"`,
				"idem show 'two w":                "idem show 'two words'",
				"idem show new":                   "idem show newslash",
				`idem show new\\s`:                `idem show new\\s`,
				"idem show not":                   "idem show not",
				"idem mark do":                    "idem mark done",
				"idem mark done order:4711":       "idem mark done order:4711:charge",
				"idem forget backup order:4711":   "idem forget backup order:4711:charge",
				"idem run --per d":                "idem run --per day",
				"idem ledger back":                "idem ledger backup",
				"idem ledger check --qu":          "idem ledger check --quick",
				"idem help ledger rest":           "idem help ledger restore",
				"idem list --state fai":           "idem list --state failed",
				"idem list --state failed,int":    "idem list --state failed,interrupted",
				"idem show backup --window ":      "idem show backup --window 2026-11-22",
				"idem list --namespace st":        "idem list --namespace staging",
				"idem --namespace staging show o": "idem --namespace staging show only:there",
				"idem help retr":                  "idem help retries",
				"idem --ledger di":                "idem --ledger dirA/",
				"idem run --stdout-fi":            "idem run --stdout-fi",
				"idem run --meta-file fil":        "idem run --meta-file fileA",
				"idem run --key x -- ./shellch":   "idem run --key x -- ./shellchecker",
				"idem run --key x -- envsu":       "idem run --key x -- envsubst",
				"idem run --key x:y -- cat fil":   "idem run --key x:y -- cat fileA",
				"idem step build -- cat fil":      "idem step build -- cat fileA",
				`idem show "$(touch ran)" ord`:    `idem show "$(touch ran)" ord`,
			} {
				got := c.line(keys + tab)
				for range tries { // on a busy machine, idem gives up
					if got == want || sameWords(b, got, want) {
						break
					}
					got = c.line(keys + tab)
				}
				if got != want && !sameWords(b, got, want) {
					t.Errorf("%s: got the line %q, want %q", keys, got, want)
				}
			}
			b.wantNoFile("ran")
			// The completed word names the key.
			c.typeKeys("idem show --json it" + tab + " | grep -c '\"it.s .HOME\"' >count\r")
			b.waitLines("count", 1)
			if got := b.read("count"); got != "1\n" {
				t.Errorf("got %q lines with the completed key, want 1; the terminal shows %q", got, c.shown())
			}
		})
	}
}

// sameWords reports whether bash splits two lines into the same words: shells quote differently.
func sameWords(b *box, x, y string) bool {
	split := func(line string) string { return b.sh("set -f; printf '<%s>' " + line).out }
	return !strings.Contains(x+y, "$") && split(x) == split(y)
}

// A ledger that is absent, foreign, damaged or does not answer gives no text, no file and no error.
func TestCompletionOfABadLedger(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("file", "not a ledger")
	testMust(t, os.Mkdir(b.path("foreign"), 0o700))
	b.write("foreign/ledger.db", strings.Repeat("no database ", 1000))
	b.write("foreign/locks", "")
	before := b.sh("ls -lR --time-style=full-iso").out
	for _, place := range []string{"absent", "absent/below", "file", "foreign", "~/absent", "$(touch ran)", "postgres://127.0.0.1:1/none", "x://y", ""} {
		for _, words := range [][]string{{"show", ""}, {"run", "--key", ""}, {"show", "k", "--window", ""}, {"--namespace", ""}} {
			r := b.run(append([]string{"__complete", "--ledger", place}, words...)...)
			if r.code != 0 || r.err != "" || strings.Contains(r.out, "\n:") {
				t.Errorf("%q %q: got %+v, want status 0 and nothing but the directive", place, words, r)
			}
		}
	}
	if after := b.sh("ls -lR --time-style=full-iso").out; after != before {
		t.Errorf("got the files\n%s\nwant\n%s", after, before)
	}
	b.wantNoFile("ledger")
}

// Many keys are offered by their parts.
func TestCompletionOfManyKeys(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	list := ""
	for i := range 300 {
		list += "order:" + strconv.Itoa(i/150) + ":" + strconv.Itoa(i) + "\n"
	}
	b.write("list", list)
	b.wantStatus(b.sh("idem each --key b -j 8 -- true <list"), 0)
	offered := func(text string) string {
		out := ""
		for range tries {
			if out = b.run("__complete", "show", text).out; strings.Count(out, "\n") > 1 {
				break
			}
		}
		return strings.ReplaceAll(out, "\n", " ")
	}
	for text, want := range map[string]string{
		"":           "b b/ :6 ",
		"b/or":       "b/order: :6 ",
		"b/order:":   "b/order:0: b/order:1: :6 ",
		"b/order:1:": "b/order:1:1 b/order:1:2 :6 ",
	} {
		if got := offered(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := offered("b/order:1:18"); strings.Count(got, "succeeded") != 10 || !strings.HasSuffix(got, ":4 ") {
		t.Errorf("got %q, want 10 keys with their state", got)
	}
}
