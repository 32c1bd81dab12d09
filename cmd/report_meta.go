package cmd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/proc"
	"idem/runner"
)

// metaSchema is the version of every JSON object that idem writes.
const metaSchema = 1

// attemptView is an attempt in JSON. An unknown value is null.
type attemptView struct {
	RunID      string  `json:"run_id"`
	Attempt    int     `json:"attempt"`
	State      string  `json:"state"`
	Reason     *string `json:"end_reason"`
	ExitCode   *int    `json:"exit_code"`
	Signal     *string `json:"signal"`
	StartedAt  *string `json:"started_at"`
	EndedAt    *string `json:"ended_at"`
	AgeSeconds *int64  `json:"age_seconds"`
	Truncated  bool    `json:"truncated"` // or may be
	Incomplete bool    `json:"incomplete"`
	Redacted   bool    `json:"output_redacted"`
	Stored     bool    `json:"output_stored"`
	OutputSize int64   `json:"output_bytes"`
	RemovedAt  *string `json:"output_removed_at"` // by idem gc or idem ledger repair
	Host       string  `json:"host"`
	PID        int     `json:"pid"`
	User       string  `json:"user"`
	Note       string  `json:"note"`
}

// keyView is a record in JSON, its current attempt included.
type keyView struct {
	Schema      int    `json:"schema"`
	Namespace   string `json:"namespace"`
	Key         string `json:"key"`
	Window      string `json:"window"`
	Fingerprint string `json:"fingerprint"`
	Generation  int64  `json:"generation"`
	Fence       int64  `json:"fence"`
	attemptView
}

// metaView is the JSON object of --meta-file and --meta-fd.
type metaView struct {
	Action string `json:"action"`
	Why    string `json:"reason"`
	keyView
	Replayed bool `json:"replayed"`
	// Lost reports whether a part of the output did not reach the caller.
	Lost    bool     `json:"output_lost"`
	Changed []string `json:"changed"`
}

func viewAttempt(a ledger.Attempt, state string) attemptView {
	v := attemptView{
		RunID: a.RunID, Attempt: a.Number, State: state, Stored: !a.NoOutput, OutputSize: a.OutputBytes,
		Truncated: a.Truncated || a.Incomplete, Incomplete: a.Incomplete, Redacted: a.Redacted,
		StartedAt: viewTime(a.Started), EndedAt: viewTime(a.Ended), RemovedAt: viewTime(a.OutputRemoved),
		Host: validText(a.Owner.Host), PID: a.Owner.PID, User: validText(a.Owner.User), Note: validText(a.Note),
	}
	if a.Reason != "" {
		v.Reason = ptr(string(a.Reason))
	}
	if !a.Ended.IsZero() && a.State != ledger.None {
		v.ExitCode = &a.ExitCode
	}
	if a.Signal != 0 {
		v.Signal = ptr(signalName(a.Signal))
	}
	if !a.Started.IsZero() {
		v.AgeSeconds = ptr(max(0, int64(time.Since(a.Started).Seconds())))
	}
	return v
}

func viewKey(r ledger.Record) keyView {
	return keyView{
		Schema: metaSchema, Namespace: r.ID.Namespace, Key: r.ID.Key, Window: r.ID.Window,
		Fingerprint: r.Current.Fingerprint, Generation: r.Generation, Fence: r.Fence,
		attemptView: viewAttempt(r.Current, string(r.Phase())),
	}
}

// viewOf returns a function that makes the view of a call that ended with a result or
// an error. unprotected reports whether it was made without its ledger.
func viewOf(res runner.Result, call runner.Call, err error, unprotected bool) func() metaView {
	switch view := metaOf(res, call); {
	case err != nil:
		return metaOfError(call.ID, err)
	case unprotected:
		return unprotectedMeta(view)
	default:
		return view
	}
}

// metaOf returns a function that makes the view of a call. Most calls need no view.
func metaOf(res runner.Result, call runner.Call) func() metaView {
	return func() metaView {
		m := metaView{
			Action: map[runner.Action]string{runner.ActionExecute: "executed", runner.ActionReplay: "replayed", runner.ActionRefuse: "refused"}[res.Action],
			Why:    string(res.Reason), keyView: viewKey(res.Record), Replayed: res.Action == runner.ActionReplay, Lost: call.Undelivered(res), Changed: []string{},
		}
		if res.Unrecorded != nil {
			m.Why, m.State, m.Reason = "unrecorded", string(ledger.PhaseInterrupted), nil
		}
		diff, _ := differences(res.Record.Current, call) // none if nothing is recorded
		for _, c := range diff {
			m.Changed = append(m.Changed, validText(c.Name))
		}
		return m
	}
}

// metaOfError is metaOf for a call that started no command because of an error.
func metaOfError(id ledger.ID, err error) func() metaView {
	return func() metaView {
		m := metaView{Action: "refused", Why: "ledger", keyView: viewKey(ledger.Record{ID: id}), Changed: []string{}}
		var start *proc.StartError
		var stopped *proc.SignalError
		switch {
		case errors.As(err, new(*runner.InexactError)):
			m.Why = "inexact"
		case errors.As(err, &start):
			m.Why = "not_startable"
		case errors.As(err, &stopped):
			m.Why = "signal"
		case failureOf(err).code == exitUsage:
			m.Why = "usage"
		}
		return m
	}
}

// unprotectedMeta changes the reason in the view of a call that ran without its ledger.
func unprotectedMeta(view func() metaView) func() metaView {
	return func() metaView {
		m := view()
		if m.Action == "executed" {
			m.Why = "ledger"
		}
		return m
	}
}

// meta has the files for the JSON object about a call. They are opened before the
// command starts, so the command does not run if a path is invalid.
type meta struct{ files []*os.File }

// noMetaFD is the value of a missing --meta-fd.
const noMetaFD = -1

// openMeta opens the files of --meta-file and --meta-fd. With an error it returns those that
// it has opened.
func openMeta(path string, fd int) (*meta, error) { return openFiles("meta-file", "meta-fd", path, fd) }

// openFiles opens the files of two flags.
func openFiles(pathFlag, fdFlag, path string, fd int) (*meta, error) {
	m := &meta{}
	if path != "" {
		f, err := os.Create(path)
		if err != nil {
			return m, usage("--%s: %v", pathFlag, err)
		}
		m.files = append(m.files, f)
	}
	if fd != noMetaFD {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_ACCMODE == unix.O_RDONLY {
			return m, usage("--%s: descriptor %d is not open for writing", fdFlag, fd)
		}
		// A duplicate, because close must not close the descriptor of the caller.
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return m, usage("--%s: %v", fdFlag, err)
		}
		m.files = append(m.files, os.NewFile(uintptr(own), fmt.Sprintf("descriptor %d", fd)))
	}
	return m, nil
}

// write writes the object to all files. An error is only a warning, because the call
// has already been made.
func (m *meta) write(view func() metaView, u *ui) {
	if len(m.files) > 0 {
		m.writeView(view(), u)
	}
}

func (m *meta) writeView(view any, u *ui) {
	if len(m.files) == 0 {
		return
	}
	b, err := marshal(view)
	if err == nil {
		for _, f := range m.files { // an error of one file does not stop the next
			_, werr := f.Write(b)
			err = errors.Join(err, werr)
		}
	}
	if err != nil {
		u.warn("%v", err)
	}
}

func (m *meta) close() {
	for _, f := range m.files {
		_ = f.Close()
	}
}

func ptr[T any](v T) *T { return &v }

// viewTime returns a time in JSON, null for one that is not known.
func viewTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return ptr(eventTime(t))
}
