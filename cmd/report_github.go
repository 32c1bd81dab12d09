package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// onGitHub tells whether we are in a step of GitHub Actions, or of what acts
// like it, that wants to hear of us.
func onGitHub() bool {
	return os.Getenv("GITHUB_ACTIONS") == "true" && os.Getenv("IDEM_CI") != "off"
}

// annotated are the statuses that a step is marked for.
var annotated = []int{exitMismatch, exitOutput, exitBusy, exitInterrupted, exitFailed}

// tellGitHub tells a step of GitHub Actions what came of a call: f if it
// failed, else code; said is what a replay is announced with. It comes after
// the command, so that our outputs stand behind the command's own.
func (a *app) tellGitHub(o *runOptions, view func() metaView, code int, f *failure, said string) {
	if !onGitHub() {
		return
	}
	m := view()
	if f != nil {
		code = o.exitCodes.of(f.code)
	}
	if err := appendOutputs(os.Getenv("GITHUB_OUTPUT"), m, code); err != nil {
		a.ui.warn("the outputs of the step are not set: %v", err)
	}
	switch {
	case f != nil && slices.Contains(annotated, f.code) && code != exitOK:
		a.annotate("error", f.Error(), a.ui.details(f), f.hints)
	case a.ui.quiet:
	case f != nil && slices.Contains(annotated, f.code): // the caller wants it to be no error
		a.annotate("notice", f.Error(), a.ui.details(f), f.hints)
	case m.Replayed:
		_, _ = fmt.Fprintln(a.ui.stderr) // what was replayed may not have ended its line
		a.annotate("notice", said, nil, nil)
	}
}

// annotate writes a workflow command. The runner reads those of stderr as well,
// so that stdout stays the command's.
func (a *app) annotate(level, text string, details []string, hints []hint) {
	text = a.ui.clean(text)
	for _, d := range details {
		text += "\n" + a.ui.clean(d)
	}
	for _, h := range hints {
		if !a.ui.quiet {
			text += "\nhint: " + a.ui.clean(a.ui.hintText(h))
		}
	}
	_, _ = fmt.Fprintf(a.ui.stderr, "::%s title=idem::%s\n", level, workflowData(text))
}

// workflowData escapes the text of a workflow command, as the runner undoes it.
func workflowData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// appendOutputs sets the outputs of a step. No value has a newline: a key has
// no control characters.
func appendOutputs(path string, m metaView, code int) error {
	if path == "" {
		return errors.New("GITHUB_OUTPUT is not set")
	}
	// Not blocking: whatever the file is, opening it does not hold us up.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var b bytes.Buffer
	if unfinished(path) {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "idem_action=%s\nidem_key=%s\nidem_exit_code=%d\nidem_run_id=%s\n", m.Action, m.Key, code, m.RunID)
	_, err = file.Write(b.Bytes()) // in one piece: others may append too
	return err
}

// unfinished tells whether the last line of a file lacks its end, so that it
// would swallow what is appended.
func unfinished(path string) bool {
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	last := make([]byte, 1)
	if _, err := f.Seek(-1, io.SeekEnd); err != nil {
		return false
	}
	n, _ := f.Read(last)
	return n == 1 && last[0] != '\n'
}
