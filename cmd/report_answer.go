package cmd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// answer is the object of idem run --json. Nothing else is written to stdout, and it is
// the last thing that a call does.
type answer struct {
	view    func() metaView // nil: the call was refused before idem looked at its key
	failure *failure        // why the status is idem's own; nil if it is that of a command
	// undelivered returns the ending of a success whose object cannot be written because
	// of an error. It is nil if the call is not a success.
	undelivered func(error) ending

	stdout, stderr *excerptPipe // nil before a call is made
	call           plan         // as far as its flags could be checked
}

// answerView is the JSON object of idem run --json.
type answerView struct {
	Status int `json:"status"` // the exit status of idem
	metaView
	Message *string     `json:"message"` // null if the status is that of the command
	Details []string    `json:"details"`
	Hints   []hintView  `json:"hints"`
	Stdout  excerptView `json:"stdout"`
	Stderr  excerptView `json:"stderr"`
}

// hintView is a way out. Text is what idem prints, or the purpose of Command, a line for
// a POSIX shell.
type hintView struct {
	Text    string  `json:"text"`
	Command *string `json:"command"`
}

// jsonFlag adds the flag of idem run that other commands have with another meaning.
func (o *runOptions) jsonFlag(f *pflag.FlagSet) {
	f.BoolVar(&o.json, "json", false, "write nothing but a JSON object to stdout, at the end: the object of --meta-file with status, message, hints and output")
}

// beginAnswer makes the call answer with an object if c is idem run with --json. words
// are those that were not parsed because of an error.
func (a *app) beginAnswer(c *cobra.Command, words []string) {
	if c.Name() != "run" && c.Name() != "step" || c.DisableFlagParsing {
		return
	}
	f := c.Flags().Lookup("json")
	end := max(0, slices.Index(words, "--")) // without "--", the flags may end at any word
	if f.Value.String() == "true" || slices.Contains(words[:end], "--json") {
		a.answer = &answer{}
	}
}

// open returns streams for the output of a call. The answer has excerpts of them.
func (w *answer) open() (runner.Streams, error) {
	var err error
	if w.stdout, err = newExcerptPipe(); err == nil {
		w.stderr, err = newExcerptPipe()
	}
	if err != nil {
		return runner.Streams{}, &failure{code: exitLedger, err: err}
	}
	return runner.Streams{Stdout: w.stdout.write, Stderr: w.stderr.write}, nil
}

// about tells the answer the result of a call: its view and its failure, nil if it has
// none.
func (w *answer) about(view func() metaView, f *failure) {
	if w != nil {
		w.view, w.failure = view, f
	}
}

// writeAnswer writes the object of a call that ends, and returns how the call ends then.
func (a *app) writeAnswer(end ending) ending {
	b, err := marshalLine(a.answer.object(end, a))
	stdout := a.ui.streams().Stdout
	if err == nil {
		err = proc.WriteAll(stdout, b)
	}
	switch {
	case err == nil || proc.ReaderGone(stdout, err):
	case a.answer.undelivered != nil && end.signal == 0:
		return a.answer.undelivered(err)
	default:
		a.ui.say(warningMark, "the JSON object could not be written: %v", err)
	}
	end.failure = nil // it is printed already
	return end
}

// object returns the object of a call that ends.
func (w *answer) object(end ending, a *app) answerView {
	v := answerView{Status: end.code, Details: []string{}, Hints: []hintView{}}
	if end.signal != 0 {
		v.Status = 128 + int(end.signal)
	}
	f := w.failure
	if end.failure != nil {
		f = end.failure
	}
	if w.view == nil {
		w.view = metaOfError(ledger.ID{}, f)
	}
	v.metaView = w.view()
	if f != nil {
		v.Message = ptr(a.ui.clean(f.Error()))
		for _, text := range a.ui.details(f) {
			v.Details = append(v.Details, a.ui.clean(text))
		}
		for _, h := range f.hints {
			v.Hints = append(v.Hints, w.hint(h, a))
		}
	}
	stdout, stderr := &excerpt{}, &excerpt{}
	if w.stdout != nil && w.stderr != nil {
		stdout, stderr = w.stdout.end(), w.stderr.end()
	}
	v.Stdout, v.Stderr = stdout.view(), stderr.view()
	return v
}

// maxHintCommand is the length in bytes up to which a hint has its command. A call may
// have megabytes of arguments, which each of its hints would repeat.
const maxHintCommand = 16 << 10

// hint returns a hint with its command, if there is one that may be shown and pasted.
func (w *answer) hint(h hint, a *app) hintView {
	text, command := h.text, h.commandLine(a.ui.ledgerPath)
	if command == "" && h.flags != "" {
		text = a.ui.hintText(h)
		// The pasted call must not run the command under the same key of another ledger.
		flags := h.flags
		if place := a.ui.ledgerPath().flags(cmp.Or(a.namespace, defaultNamespace)); len(place) > 0 {
			flags = shellLine(place) + " " + flags
		}
		if line, whole := a.callLine(w.call.keep, w.call.argv, flags, w.call.argv); whole && w.call.argv != nil {
			command = line
		}
	}
	if command == "" || len(command) > maxHintCommand || lacksValue(h) || a.ui.clean(command) != command { // a secret was removed from it
		return hintView{Text: a.ui.clean(a.ui.hintText(h))}
	}
	if text == "" {
		text = command
	}
	return hintView{a.ui.clean(text), &command}
}

// lacksValue reports whether the command of a hint has a word that the user has to
// replace, such as CMD.
func lacksValue(h hint) bool {
	upper := func(word string) bool { return strings.Trim(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" }
	return slices.ContainsFunc(strings.Fields(h.flags), upper) || strings.Contains(h.line, placeholder)
}
