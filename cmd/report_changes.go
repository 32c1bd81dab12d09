package cmd

import (
	"bytes"
	"fmt"
	"strings"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

// fileChanges returns, in parentheses, a list of at most so many files of a directory
// that differ; "" for none.
func fileChanges(files []hashkey.FileChange, most int) string {
	var list []string
	for i, f := range files {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(files)-i))
			break
		}
		list = append(list, fileChange{jsonBytes(f.Name), f.State}.text(""))
	}
	if list == nil {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}

// text describes the change of a file below the directory dir.
func (f fileChange) text(dir string) string {
	name := string(f.Name)
	if dir != "" {
		name = strings.TrimSuffix(dir, "/") + "/" + name
	}
	if f.State == "changed" {
		return escape(name) + " has changed"
	}
	return escape(name) + " is " + f.State
}

func viewFileChanges(files []hashkey.FileChange) []fileChange {
	var views []fileChange
	for _, f := range files {
		views = append(views, fileChange{jsonBytes(f.Name), f.State})
	}
	return views
}

// hintSecret adds a hint on keeping a secret out of the ledger, if the message about
// the changed inputs of a call masks a value.
func hintSecret(f *failure, was ledger.Attempt, call runner.Call) *failure {
	diff, _ := differences(was, call) // after an error, no values are shown
	for _, c := range diff {
		if c.Masked || bytes.Contains(append(bytes.Clone(c.Old), c.New...), []byte(hashkey.Masked)) {
			return f.detail("masked values may be secrets, but are stored unmasked").
				hint("pass a secret in the environment, or remove it with --redact-env NAME or --redact REGEX")
		}
	}
	return f
}

// quoteWord is quote for a word of a command line. It masks a word that may be a
// secret.
func quoteWord(word string) string { return quote(hashkey.Mask([]string{word})[0]) }

// maskedError is an error whose text contains a word of the command line. Its own
// text masks the word if it may be a secret.
type maskedError struct {
	error
	word string
}

func (e maskedError) Error() string {
	return strings.ReplaceAll(e.error.Error(), e.word, hashkey.Mask([]string{e.word})[0])
}

func (e maskedError) Unwrap() error { return e.error }
