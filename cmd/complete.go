package cmd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// The first word of a call of a completion script. It is not a command, so that no help lists
// it. For completeWords, the words of the command line follow, without the name of the program
// and without quotes; the last one ends at the cursor. The words for bash are in bashLine.
const (
	completeWords = "__complete" // the name is that of cobra, whose script for PowerShell calls it
	completeBash  = "__completeBash"
)

// A person waits at the prompt. After lookTime idem gives up the search, and after
// completeTime it ends without an answer, whatever it is waiting for. The shell starts it and
// reads its answer in the rest of 300 ms.
const (
	lookTime     = 200 * time.Millisecond
	completeTime = 250 * time.Millisecond
)

// directive tells a script what to do with the values. It is a number of cobra.
type directive int

const (
	noSpace      directive = 2  // do not end a value with a space: it can be continued
	noFiles      directive = 4  // do not complete file names
	onlyDirs     directive = 16 // complete names of directories
	keepOrder    directive = 32 // show the values in their order
	commandOf    directive = 64 // complete the words of another command: see commandAt
	commandShift           = 8  // of the number in a directive with commandOf
	files        directive = 0  // complete file names
)

// commandAt is the directive for a command that begins at a word of the line. Words are counted
// from 0, without the name of the program. For bash, n is a character of the line.
func commandAt(n int) directive { return commandOf | directive(n)<<commandShift }

// candidate is a value that can be inserted at the cursor.
type candidate struct {
	value string
	about string // one short line, may be empty
}

// completions are what can be inserted.
type completions struct {
	candidates []candidate
	directive  directive
	// before is the text before the value, in the word at the cursor: that of --flag=value.
	before string
}

// completionCall is a call of a completion script.
type completionCall struct {
	words []string  // of the command line, as they are without quotes
	bash  *bashLine // nil for other shells
}

// completionOf returns the call of a completion script, nil for other calls.
func completionOf(args []string) *completionCall {
	switch {
	case len(args) > 1 && args[0] == completeWords:
		return &completionCall{words: args[1:]}
	case len(args) > 0 && args[0] == completeBash:
		if line := bashLineOf(args[1:]); line != nil {
			return &completionCall{words: line.texts(), bash: line}
		}
		return &completionCall{words: []string{""}}
	}
	return nil
}

// complete answers a completion script. It prints nothing else: an error has no place in a
// command line that a person is typing. It does not change a ledger.
func (a *app) complete(call *completionCall) {
	a.look = true
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		a.ui.stderr = null
	}
	answered := make(chan string, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		answered <- call.answer(a.completions(ctx, call.words))
	}()
	select {
	case answer := <-answered:
		_ = a.print(answer)
	case <-time.After(completeTime):
	}
}

// answer returns the lines for a script: the values, each with a description after a tab, and
// the directive.
func (call *completionCall) answer(c completions) string {
	if call.bash != nil {
		return call.bash.answer(c)
	}
	var b strings.Builder
	for _, one := range c.candidates {
		b.WriteString(one.value)
		if one.about != "" {
			b.WriteString("\t" + one.about)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, ":%d\n", c.directive)
	return b.String()
}
