package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sketch returns blocks in a short form: a line for each paragraph, tag, line of code.
func sketch(blocks []block) []string {
	var out []string
	text := func(t []inline) string {
		var b strings.Builder
		for _, s := range t {
			if s.font == 0 {
				b.WriteString(s.text)
			} else {
				b.WriteString("<" + s.text + ">")
			}
		}
		return strings.ReplaceAll(b.String(), lineBreak, "|")
	}
	for _, b := range blocks {
		switch {
		case b.heading != "":
			out = append(out, "h "+b.heading)
		case b.text != nil:
			out = append(out, "p "+text(b.text))
		}
		for _, line := range b.code {
			out = append(out, "c "+line)
		}
		for _, i := range b.tagged {
			out = append(out, "t "+text(i.tag)+" = "+strings.Join(sketch(i.body), "; "))
		}
		for _, i := range b.bullets {
			out = append(out, "- "+strings.Join(sketch(i), "; "))
		}
	}
	return out
}

func TestHelpBlocks(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"paragraphs": {
			"One line that is as long as a terminal is wide, so the next word has no room\nhere --per day.\n\nTwo.",
			[]string{"p One line that is as long as a terminal is wide, so the next word has no room here <--per> day.", "p Two."},
		},
		"a line that ends on purpose": {"One.\nTwo.", []string{"p One.|Two."}},
		"a list of words": {
			"HOW is:\n\n  done     it is done: later calls replay a success, with the output of\n           the file\n  failed   it is not",
			[]string{"p HOW is:", "t <done> = p it is done: later calls replay a success, with the output of the file", "t <failed> = p it is not"},
		},
		"a list of numbers below an indentation": {
			"  Text.\n\n    1  first\n    2  A table:\n       idem each -- ./a\n       The rest.",
			[]string{"p Text.", "t <1> = p first", "t <2> = p A table:|idem each -- ./a|The rest."},
		},
		"bullets":                        {"Text.\n\n  - one\n  - two -x", []string{"p Text.", "- p one", "- p two <-x>"}},
		"typed text":                     {"Write:\n\n    idem list | cat\n", []string{"p Write:", "c idem list | cat"}},
		"typed text without indentation": {"Write:\n\nme=\"$1\"\nexec \"$me\"", []string{"p Write:", `c me="$1"`, `c exec "$me"`}},
		"three columns":                  {"Text.\n\n  bash    . <(x)      in ~/.bashrc", []string{"p Text.", "t <bash> = p . <(x)|in ~/.bashrc"}},
	} {
		if diff := cmp.Diff(sketch(helpBlocks(test.text)), test.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}
}

func TestMarkdown(t *testing.T) {
	const page = "# Title\n\nText with `--per day` and **bold**,\nand [a link](guide.md#x), [guide.md](guide.md), [web](https://e.example).\n\n" +
		"<!-- a comment -->\n## Second `x`\n\n- one\n  goes on\n- two\n\n1. first\n2. second\n\n| a | b | c |\n| --- | --- | --- |\n| `x` | y | z |\n| k | | z |\n\n```sh\n# code\n- x\n```\n"
	var got []string
	for _, c := range readMarkdown(page) {
		got = append(got, c.title)
		got = append(got, sketch(c.blocks)...)
	}
	want := []string{
		"Title", "p Text with <--per day> and <bold>, and a link, docs/guide.md, web (https://e.example).",
		"Second x", "- p one goes on", "- p two", "t 1. = p first", "t 2. = p second",
		"t <x> = p b: y|c: z", "t k = p c: z", "c # code", "c - x",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

// A line that is too long goes on in the next one, where a shell reads the same words.
func TestFold(t *testing.T) {
	long := strings.Repeat("x", 50)
	for line, want := range map[string][]string{
		"idem run -- ./a":                                {"idem run -- ./a"},
		"idem run --key " + long + " -- ./abc":           {"idem run --key " + long + " \\", "  -- ./abc"},
		"idem run --key 'k' -- sh -c '" + long + " | y'": {"idem run --key 'k' \\", "  -- sh -c '" + long + " | y'"},
		"idem run '" + long + " -- " + long + "'":        {"idem run '" + long + " -- " + long + "'"},
		long + long: {long + long},
	} {
		if diff := cmp.Diff(fold(line), want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", line, diff)
		}
	}
}

func TestFlagInline(t *testing.T) {
	for head, want := range map[string]string{
		"--key KEY":         "p <--key> <KEY>",
		"-q, --quiet":       "p <-q>, <--quiet>",
		"--wait[=DURATION]": "p <--wait>[=<DURATION>]",
		"--day-start HH:MM": "p <--day-start> <HH>:<MM>",
		"Earlier outcomes":  "p Earlier outcomes",
	} {
		if got := sketch([]block{{text: flagInline(head)}}); got[0] != want {
			t.Errorf("%s: got %s, want %s", head, got[0], want)
		}
	}
}
