package cmd

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"idem/inputs"
	"idem/ledger"
)

// worded is the value of a flag that takes words of a fixed set. list reports whether it takes
// several, separated by commas.
type worded interface {
	words() (words []string, list bool)
}

// completions returns what can stand at the cursor of a command line. The usage line of a command
// and the name of a flag's value say what it takes, so new ones are completed without more code.
// After an error it returns nothing.
func (a *app) completions(ctx context.Context, words []string) completions {
	root := a.command("")
	root.InitDefaultHelpCmd()
	t := typedOf(root, words)
	a.useFlags(t)
	switch {
	case t.flag != nil:
		c := a.flagValues(ctx, t)
		c.before = t.before
		return c
	case t.commandBegin() >= 0:
		return completions{directive: commandAt(t.commandBegin())}
	case t.dash < 0 && strings.HasPrefix(t.cursor, "-"):
		return flagNamesAt(t)
	case len(t.args) == 0 && t.command.HasSubCommands():
		return commandsAt(t)
	case len(t.args) > 0 && pathOf(t.command) == "help":
		return commandsAt(typedOf(root, append(t.args, t.cursor)))
	case len(t.args) == 0 && len(t.command.ValidArgs) > 0:
		return wordsAt(t.cursor, t.command.ValidArgs)
	}
	return a.valuesOf(ctx, t, t.operand())
}

// useFlags uses the flags of a line that choose the ledger and the namespace.
func (a *app) useFlags(t typed) {
	if place, ok := t.flags["ledger"]; ok {
		if expanded := expandPath(place, os.Getenv); expanded != "" {
			place = expanded // no shell has expanded ~ and variables yet
		}
		a.ledger = place
	}
	if name, ok := t.flags["namespace"]; ok {
		a.namespace = name
	}
	if _, ok := t.flags["trust-place"]; ok {
		a.trustPlace = true
	}
	a.connectTimeout.Duration = completeTime
}

// flagValues returns values of the flag at the cursor.
func (a *app) flagValues(ctx context.Context, t typed) completions {
	if w, ok := t.flag.Value.(worded); ok {
		words, list := w.words()
		if list {
			return listAt(t.cursor, words)
		}
		return wordsAt(t.cursor, words)
	}
	switch t.flag.Name {
	case "namespace":
		return a.namespacesAt(ctx, t.cursor)
	case "window":
		return a.windowsAt(ctx, t)
	case "hash-env", "redact-env":
		return wordsAt(t.cursor, inputs.Environ(os.Environ()).Names())
	}
	name, _ := pflag.UnquoteUsage(t.flag)
	return a.valuesOf(ctx, t, name)
}

// valuesOf returns values for an argument or a flag, by the name that the help has for it.
func (a *app) valuesOf(ctx context.Context, t typed, name string) completions {
	switch {
	case name == "KEY" || name == "PATTERN":
		c := a.keysAt(ctx, t.cursor)
		c.candidates = slices.DeleteFunc(c.candidates, func(one candidate) bool {
			return name == "PATTERN" && strings.ContainsAny(one.value, "*?[") ||
				t.flag == nil && t.dash < 0 && strings.HasPrefix(one.value, "-")
		})
		return c
	case name == "COMMAND|TOPIC":
		return wordsAt(t.cursor, slices.DeleteFunc(helpNames(), func(name string) bool { return strings.Contains(name, " ") }))
	case strings.Contains(name, "FILE") || slices.Contains([]string{"PATH", "FROM", "TO"}, name):
		return completions{directive: files}
	case strings.Contains(name, "DIR"):
		return completions{directive: onlyDirs}
	}
	return completions{directive: noFiles}
}

// wordsAt returns those words that begin with a text. A word that ends with "=" is continued.
func wordsAt(text string, words []string) completions {
	c := completions{directive: noFiles}
	for _, word := range words {
		if strings.HasPrefix(word, text) {
			c.candidates = append(c.candidates, candidate{value: word})
			if strings.HasSuffix(word, "=") {
				c.directive |= noSpace
			}
		}
	}
	return c
}

// listAt is wordsAt for words that are separated by commas, each once.
func listAt(text string, words []string) completions {
	begin := strings.LastIndexByte(text, ',') + 1
	given := strings.Split(text[:begin], ",")
	c := wordsAt(text[begin:], slices.DeleteFunc(slices.Clone(words), func(word string) bool { return slices.Contains(given, word) }))
	for i := range c.candidates {
		c.candidates[i].value = text[:begin] + c.candidates[i].value
	}
	c.directive |= noSpace // another one may follow
	return c
}

// commandsAt returns the commands that begin with the word at the cursor.
func commandsAt(t typed) completions {
	c := completions{directive: noFiles}
	for _, sub := range t.command.Commands() {
		if len(t.args) == 0 && (sub.IsAvailableCommand() || sub.Name() == "help") && strings.HasPrefix(sub.Name(), t.cursor) {
			c.candidates = append(c.candidates, candidate{sub.Name(), sub.Short})
		}
	}
	return c
}

// flagNamesAt returns the flags that begin with the word at the cursor and are not given yet,
// unless they can be repeated.
func flagNamesAt(t typed) completions {
	c := completions{directive: noFiles}
	t.command.InitDefaultHelpFlag()
	add := func(f *pflag.Flag) {
		_, given := t.flags[f.Name]
		_, repeatable := f.Value.(*texts)
		if name := "--" + f.Name; !f.Hidden && (!given || repeatable) && strings.HasPrefix(name, t.cursor) {
			c.candidates = append(c.candidates, candidate{name, flagAbout(f)})
		}
	}
	t.command.InheritedFlags().VisitAll(add)
	t.command.NonInheritedFlags().VisitAll(add)
	slices.SortFunc(c.candidates, func(a, b candidate) int { return strings.Compare(a.value, b.value) })
	return c
}

// flagAbout returns the first fact of the help of a flag.
func flagAbout(f *pflag.Flag) string {
	_, text := pflag.UnquoteUsage(f)
	text, _, _ = strings.Cut(text, "; ")
	return text
}

// namespacesAt returns the namespaces of the ledger that begin with a text.
func (a *app) namespacesAt(ctx context.Context, text string) completions {
	l, err := a.openLedger()
	if err != nil {
		return completions{directive: noFiles}
	}
	var names []string
	if o, ok := l.(ledger.Ordered); ok {
		names, err = o.Namespaces(ctx)
	} else {
		names, err = latestNamespaces(ctx, l)
	}
	if err != nil {
		return completions{directive: noFiles}
	}
	return wordsAt(text, slices.DeleteFunc(names, func(name string) bool { return !insertable(name) }))
}

// latestNamespaces returns the namespaces of the latest records.
func latestNamespaces(ctx context.Context, l ledger.Ledger) ([]string, error) {
	records, err := ledger.Collect(l.List(ctx, ledger.Filter{Limit: maxLatest}))
	var names []string
	for _, r := range records {
		names = append(names, r.ID.Namespace)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// windowsAt returns the windows that begin with the word at the cursor, of the key on the line,
// the one with the latest attempt first.
func (a *app) windowsAt(ctx context.Context, t typed) completions {
	c := completions{directive: noFiles | keepOrder}
	key := t.key()
	l, err := a.openLedger()
	if err != nil || key == "" {
		return c
	}
	for r, err := range l.List(ctx, ledger.Filter{Namespace: cmp.Or(a.namespace, defaultNamespace), Key: key}) {
		if err != nil || len(c.candidates) == maxParts {
			break
		}
		if r.ID.Window != "" && strings.HasPrefix(r.ID.Window, t.cursor) && insertable(r.ID.Window) {
			c.candidates = append(c.candidates, candidate{r.ID.Window, recordAbout(r, a.now())})
		}
	}
	return c
}

// key returns the key that a line names, "" if it names none.
func (t *typed) key() string {
	for _, name := range []string{"key", "under", "in"} {
		if key := t.flags[name]; key != "" {
			return key
		}
	}
	names, _ := operands(t.command.Use)
	if at := slices.Index(names, "KEY"); at >= 0 && at < len(t.args) {
		return t.args[at]
	}
	return ""
}
