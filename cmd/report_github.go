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

	"idem/runner"
)

// onGitHub reports whether idem is in a step of GitHub Actions or of a compatible CI
// system. IDEM_CI=off turns that off.
func onGitHub() bool {
	return os.Getenv("GITHUB_ACTIONS") == "true" && os.Getenv("IDEM_CI") != "off"
}

// annotated are the exit statuses that cause an annotation of the step.
var annotated = []int{exitMismatch, exitOutput, exitBusy, exitInterrupted, exitFailed}

// reportGitHub reports the result of a call to a step of GitHub Actions: f if the call
// failed, else code. It is called after the command, so its outputs follow those of the
// command.
func (a *app) reportGitHub(o *runOptions, view func() metaView, code int, f *failure, res runner.Result) {
	if !onGitHub() {
		return
	}
	m := view()
	if f != nil {
		code = o.exitCodes.remap(f.code)
	}
	if err := appendOutputs(os.Getenv("GITHUB_OUTPUT"), m, code); err != nil {
		a.ui.warn("the outputs of the step are not set: %v", err)
	}
	switch {
	case f != nil && slices.Contains(annotated, f.code) && code != exitOK:
		a.annotate("error", f.Error(), a.ui.details(f), f.hints)
	case a.ui.quiet:
	case f != nil && slices.Contains(annotated, f.code): // --exit-code makes it a success
		a.annotate("notice", f.Error(), a.ui.details(f), f.hints)
	case m.Replayed:
		_, _ = fmt.Fprintln(a.ui.stderr) // the replayed output may lack a newline at its end
		a.annotate("notice", replayedText(res), nil, nil)
	}
}

// annotate writes a workflow command to stderr, which the runner reads too. stdout
// belongs to the command.
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

// workflowData escapes the text of a workflow command for the runner.
func workflowData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// appendOutputs appends the outputs of a step to the file at path. No value has a
// newline, because a key has no control characters.
func appendOutputs(path string, m metaView, code int) error {
	if path == "" {
		return errors.New("GITHUB_OUTPUT is not set")
	}
	// O_NONBLOCK: opening a pipe, for example, must not block.
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var b bytes.Buffer
	if lacksFinalNewline(path) {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "idem_action=%s\nidem_key=%s\nidem_exit_code=%d\nidem_run_id=%s\n", m.Action, m.Key, code, m.RunID)
	_, err = file.Write(b.Bytes()) // one write, because other processes may append too
	return err
}

// lacksFinalNewline reports whether the last line of a file lacks its newline. A line
// that is appended would then become a part of it.
func lacksFinalNewline(path string) bool {
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
