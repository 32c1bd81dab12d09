package runner

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"idem/ledger"
	"idem/proc"
)

// Event is the kind of moment at which a hook runs.
type Event string

// The events. EventStart precedes every attempt of a call. A call that ends by itself
// has one further event, an argument of EndHooks.
const (
	EventStart       Event = "start"
	EventSuccess     Event = "success"
	EventFailure     Event = "failure"
	EventTimeout     Event = "timeout"
	EventReplay      Event = "replay"
	EventBusy        Event = "busy"
	EventMismatch    Event = "mismatch"
	EventInterrupted Event = "interrupted"
	EventRefused     Event = "refused"    // for a reason without a separate event
	EventLedger      Event = "ledger"     // the ledger cannot be used
	EventUnrecorded  Event = "unrecorded" // the command ran, and its outcome is not in the ledger
	EventAborted     Event = "aborted"    // a signal came before the command was started
)

// EndEvents returns all events but EventStart.
func EndEvents() []Event { return Events()[1:] }

// Events returns all events.
func Events() []Event {
	return []Event{
		EventStart, EventSuccess, EventFailure, EventTimeout, EventReplay, EventBusy, EventMismatch, EventInterrupted,
		EventRefused, EventLedger, EventUnrecorded, EventAborted,
	}
}

// Hook is a shell command to run at some events.
type Hook struct {
	Events  []Event
	Command string
}

// Hooks are commands that report the result of a call. A failing hook changes
// neither the call nor its record.
//
// The hooks of EventStart run after the attempt is recorded, and the command starts
// after they end. The hooks of the other events run after the outcome is recorded
// and the key is free. No hook inherits a descriptor that holds the key.
type Hooks struct {
	List      []Hook        // the hooks of one event run in this order, one after another
	Limit     time.Duration // after it a hook gets TERM
	KillAfter time.Duration // from TERM to KILL
	Output    *os.File      // gets their stdout and stderr

	// Report returns the variables that the hooks of an event get besides Environ,
	// and their stdin. The result and the error are those of EndHooks. At EventStart
	// the result is incomplete, and its attempt is running.
	Report func(Event, Call, Result, error) (env []string, stdin []byte)
}

// HookFault is a hook that failed.
type HookFault struct {
	Event  Event
	Number int         // 1 is the first hook of its event
	Status proc.Status // how the hook ended, if Err is nil
	// Stopped reports whether Hooks.Limit ended the hook.
	Stopped bool
	// Err is why the hook could not be started, or why its exit status is unknown.
	Err error
}

var errInsideHook = errors.New("the call is made inside of a hook of the same key")

// startHooks runs the hooks of an attempt that is about to start.
func (c *call) startHooks(ctx context.Context, claim ledger.Claim, res Result, signals *proc.Signals) []HookFault {
	ctx, cancel := withDone(ctx, claim.Lost())
	defer cancel()
	res.Record.Alive = true // the attempt counts as running
	return c.runHooks(ctx, EventStart, res, nil, signals)
}

// EndHooks runs the hooks of the event at the end of a call, whose outcome is recorded
// and whose key is free. The result and the error are those of Run; the error may also
// be the reason why Run was not called. A signal that comes for idem while a hook runs
// ends the hook, and those after it are not run. EndHooks returns the hooks that
// failed, and such a signal or 0.
func (r *Runner) EndHooks(ctx context.Context, c Call, e Event, res Result, err error) ([]HookFault, syscall.Signal) {
	if !r.Hooks.has(e) {
		return nil, 0
	}
	if err := proc.Ready(false); err != nil { // only a call that ran its command has checked it
		return []HookFault{{Event: e, Number: 1, Err: err}}, 0
	}
	signals := proc.Catch()
	m := call{Runner: r, Call: &c}
	faults := m.runHooks(ctx, e, res, err, signals)
	signals.Stop()
	fatal, _ := signals.Fatal()
	return faults, fatal
}

func (h *Hooks) has(e Event) bool {
	return slices.ContainsFunc(h.List, func(hook Hook) bool { return slices.Contains(hook.Events, e) })
}

// runHooks runs the hooks of an event until a fatal signal comes.
func (c *call) runHooks(ctx context.Context, e Event, res Result, err error, signals *proc.Signals) (faults []HookFault) {
	switch {
	case !c.Hooks.has(e):
		return nil
	case c.Inside.Hook:
		return []HookFault{{Event: e, Number: 1, Err: errInsideHook}}
	}
	ctx, cancel := withDone(ctx, signals.Done())
	defer cancel()
	at := AttemptOf(res.Record)
	at.ID, at.Event, at.Over = c.ID, string(e), e != EventStart // the ID of the record is empty if it could not be read
	if err != nil {                                             // there is no attempt
		at.Number, at.RunID = 0, ""
	}
	more, stdin := c.Hooks.Report(e, *c.Call, res, err)
	env := append(append(c.Environ(at), c.Env...), more...)
	number := 0
	for _, hook := range c.Hooks.List {
		if !slices.Contains(hook.Events, e) {
			continue
		}
		number++
		fault, ok := c.Hooks.run(ctx, proc.Script{Text: hook.Command, Env: env, Stdin: stdin, Output: c.Hooks.Output, KillAfter: c.Hooks.KillAfter})
		if ctx.Err() != nil {
			break // a signal or a lost claim ended the hook
		}
		if !ok {
			fault.Event, fault.Number = e, number
			faults = append(faults, fault)
		}
	}
	return faults
}

// run runs a hook and reports whether it succeeded.
func (h *Hooks) run(ctx context.Context, s proc.Script) (HookFault, bool) {
	ctx, cancel := context.WithTimeout(ctx, h.Limit)
	defer cancel()
	end, err := s.Run(ctx)
	if err != nil {
		return HookFault{Err: err}, false
	}
	stopped := end.StoppedBy != proc.NotStopped
	return HookFault{Status: end.Status, Stopped: stopped}, !stopped && end.ExitCode == 0
}
