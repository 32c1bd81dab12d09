package main

import (
	"regexp"
	"strconv"
	"strings"
)

// maxWords is the longest sentence that the linter accepts. Texts aim at 25
// words; the margin is for names, numbers and lists.
const maxWords = 30

// rule is a pattern that no text may contain.
type rule struct {
	name    string
	pattern *regexp.Regexp
	except  *regexp.Regexp // a match that also matches this is accepted
	opener  bool           // the pattern is for the beginning of a sentence that is not a question
	why     string
}

func re(pattern string) *regexp.Regexp { return regexp.MustCompile(pattern) }

var rules = []rule{
	{
		name: "headless", opener: true, pattern: re(`^(?:(?:What|what|Who|who|Whoever|whoever|That|that)\b|Of\b)`), except: nil,
		why: "a sentence begins with the name of a thing, not with a clause that stands for one",
	},
	{
		name: "who", pattern: re(`\b(?:to|by|of|for|from|with|does) (?:who|whoever)\b|\bwho (?:looks|writes|reads|takes|comes)\b|\b[Ww]hoever\b`),
		why: "name the caller, reader, user or process",
	},
	{
		name: "actor", pattern: re(`\b(?:[Nn]obody|[Ss]omebody|[Nn]o one)(?:'s)?\b|\b(?:[Oo]thers|ours|[Ww]e|[Oo]ur)\b|(?:[0-9] )?\bus\b`), except: re(`^[0-9] us$`),
		why: "name the process or person that acts or owns",
	},
	{
		name: "own", pattern: re(`\bof (?:its|his|her|their|your|idem's) own\b|\bof yours\b`),
		why: "its own X, a separate X, or your X",
	},
	{
		name: "he", pattern: re(`\b(?:[Hh]e|[Hh]is|[Hh]im|[Hh]imself)\b`),
		why: "they, their",
	},
	{
		name: "reports", pattern: re(`\btells? (?:whether|that)\b`),
		why: "reports whether; says that",
	},
	{
		name: "so", pattern: re(`\bso that [^.;:]*? (?:is|are|was|were)\b`),
		why: "so that is for a purpose; a result is so, or a sentence",
	},
	{
		name: "no", pattern: re(`(?:\b[A-Za-z]+ )?\b(?:is|are|was|were) no [a-z]+`), except: re(`^[Tt]here |^(?:If|if) there| no (?:longer|more|less|fewer|other|such)$`),
		why: "is not a X, has no X, or there is no X",
	},
	{
		name: "word", pattern: re(`\b[Aa]new\b|\b[Mm]eanwhile\b|\b[Bb]eside\b|\b[Mm]ostly\b|\ball the same\b|\bfor one[,.;]|\b(?:comes|come|came) to\b|\bwants\b|\bhalf as (?:fast|long|large|much) again\b|\b[Aa]s (?:ever|wont)\b`),
		why: "again, during that time, next to, usually, nevertheless, results in, requires, 50 % longer",
	},
	{
		name: "stands", pattern: re(`\b(?:stands|stood) (?:in|at|behind|before|between|there|on|by|above|below|under)\b`),
		why: "is",
	},
}

// finding is a place in a text that breaks a rule.
type finding struct {
	line int
	rule string
	text string
}

// check returns what is wrong in a piece of text.
func check(p piece) []finding {
	var found []finding
	for _, s := range p.sentences() {
		question := strings.HasSuffix(s.text, "?")
		for _, r := range rules {
			if r.opener && (question || p.fragment) {
				continue
			}
			for _, at := range r.pattern.FindAllStringIndex(s.text, -1) {
				match := s.text[at[0]:at[1]]
				if r.except != nil && r.except.MatchString(match) {
					continue
				}
				found = append(found, finding{s.line(at[0]), r.name, excerpt(s.text, at[0]) + " (" + r.why + ")"})
			}
		}
		if n := len(strings.Fields(s.text)); n > maxWords && !p.fragment {
			found = append(found, finding{s.line(0), "long", excerpt(s.text, 0) + " (" + strconv.Itoa(n) + " words)"})
		}
	}
	return found
}

// excerpt is the text around an offset, on one line.
func excerpt(text string, at int) string {
	const around = 60
	from, to := max(0, at-around/3), min(len(text), at+around)
	return strings.ToValidUTF8(strings.TrimSpace(text[from:to]), "")
}
