package cmd

import (
	"time"

	"idem/batch"
	"idem/ledger"
)

// eventLog writes a line of JSON about each event of a batch. Each line is written at once,
// so a reader may act on it: an outcome is durable before its event.
type eventLog struct {
	files *meta
	ui    *ui
	err   bool // a write has failed
}

func openEvents(path string, fd int) (*eventLog, error) {
	m, err := openFiles("events", "events-fd", path, fd)
	return &eventLog{files: m}, err
}

func (l *eventLog) close() { l.files.close() }

// eventView is an event about an item.
type eventView struct {
	Event   string  `json:"event"`
	At      string  `json:"at"`
	Item    string  `json:"item"`
	Line    int     `json:"line"`
	Key     string  `json:"key"`
	Result  string  `json:"result,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Slot    int     `json:"slot,omitempty"`
	TookMS  *int64  `json:"took_ms,omitempty"`
	DelayMS *int64  `json:"delay_ms,omitempty"`
	Error   *string `json:"error,omitempty"`
	*attemptView
}

// callView is the event at the beginning of a call.
type callView struct {
	Event     string   `json:"event"`
	Schema    int      `json:"schema"`
	At        string   `json:"at"`
	Namespace string   `json:"namespace"`
	Key       string   `json:"key"`
	Window    string   `json:"window"`
	RunID     string   `json:"run_id"`
	Command   []string `json:"command"`
}

func (l *eventLog) write(v any) {
	if len(l.files.files) == 0 || l.err {
		return
	}
	b, err := marshalLine(v)
	for _, f := range l.files.files {
		if err == nil {
			_, err = f.Write(b)
		}
	}
	if err != nil {
		l.err = true
		l.ui.warn("events are no longer written: %v", err)
	}
}

func (l *eventLog) on() bool { return len(l.files.files) > 0 && !l.err }

func (l *eventLog) call(r *eachReport) {
	l.ui = &r.app.ui
	if !l.on() {
		return
	}
	id := r.bulk.batch
	v := callView{Event: "call", Schema: metaSchema, At: eventTime(r.start), Namespace: id.Namespace, Key: id.Key, Window: id.Window, RunID: r.bulk.runID, Command: []string{}}
	if !r.bulk.keep.omit.args {
		for _, word := range r.bulk.argv {
			v.Command = append(v.Command, validText(string(r.bulk.keep.redactor.Bytes([]byte(word)))))
		}
	}
	l.write(v)
}

func eventTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// notice writes the event of a notice.
func (l *eventLog) notice(n batch.Notice) {
	if !l.on() {
		return
	}
	v := eventView{At: eventTime(n.At), Item: validText(n.Entry.Item.Key), Line: n.Line, Key: n.ID.Key, Slot: n.Slot}
	cur := n.Result.Record.Current
	switch n.Kind {
	case batch.KindStart:
		v.Event = "start"
	case batch.KindRetry:
		v.Event, v.TookMS, v.DelayMS = "retry", ptr(n.Took.Milliseconds()), ptr(n.Delay.Milliseconds())
	case batch.KindBad:
		v.Event = "bad"
	case batch.KindEnd:
		v.Result, v.Reason = fateNames[n.Fate], string(n.Result.Reason)
		switch n.Fate {
		case batch.Done, batch.Failed, batch.Unrecorded:
			v.Event, v.TookMS = "end", ptr(n.Took.Milliseconds())
		case batch.Conflict:
			v.Event = fateNames[batch.Mismatch]
		case batch.Interrupted, batch.Mismatch, batch.Refused, batch.Busy:
			v.Event = fateNames[n.Fate]
		default:
			v.Event = "skip"
		}
	default:
		return
	}
	if cur.RunID != "" {
		state := string(n.Result.Record.Phase())
		switch {
		case n.Kind == batch.KindStart:
			state = string(ledger.PhaseRunning)
		case n.Fate == batch.Unrecorded && n.Kind == batch.KindEnd:
			state = string(ledger.PhaseInterrupted)
		}
		v.attemptView = ptr(viewAttempt(cur, state))
	}
	if err := n.Err; err != nil {
		v.Error = ptr(validText(err.Error()))
	} else if err := n.Result.Unrecorded; err != nil {
		v.Error = ptr(validText(err.Error()))
	}
	l.write(v)
}

// summary writes the last event.
func (l *eventLog) summary(v eachView) {
	l.write(struct {
		Event string `json:"event"`
		At    string `json:"at"`
		eachView
	}{"summary", eventTime(time.Now()), v})
}
