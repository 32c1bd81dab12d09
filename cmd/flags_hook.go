package cmd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"idem/runner"
)

// hookLimit is the time after which a hook gets TERM, and hookKillAfter the time from
// then until KILL. The caller waits for the hook.
const (
	hookLimit     = 30 * time.Second
	hookKillAfter = 5 * time.Second
)

// hooks is the value of --hook: EVENT=CMD, repeatable.
type hooks struct{ list []hook }

// hook is one hook, with its list of events as it was given.
type hook struct {
	events string
	runner.Hook
}

func (h *hooks) addTo(f *pflag.FlagSet) {
	f.Var(h, "hook", "run the shell command CMD on an event: `EVENT=CMD`, where EVENT is "+eventList+"; a list such as success,failure; or end, which is every event but start; repeatable")
}

// eventList has the names of all events. It is a constant because every call of idem
// run makes the text of its flags.
const eventList = "start, success, failure, timeout, replay, busy, mismatch, interrupted, refused, ledger, unrecorded, aborted"

// endEvent is the name of all events but start.
const endEvent = "end"

func (h *hooks) String() string { return "" }
func (h *hooks) Type() string   { return "EVENT=CMD" }

func (h *hooks) Set(s string) error {
	names, command, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("want EVENT=CMD, where EVENT is " + eventList + ", or end")
	}
	var events []runner.Event
	list := strings.Split(names, ",")
	for i, name := range list {
		of, err := eventsOf(name)
		if err != nil {
			if list[i] = closestEvent(name); list[i] == "" {
				return err
			}
			return &valueError{err.Error(), "did you mean --hook " + strings.Join(list, ",") + "=CMD?"}
		}
		events = append(events, of...)
	}
	if strings.TrimSpace(command) == "" {
		return fmt.Errorf("the command for %s is empty: a variable may be unset", names)
	}
	h.list = append(h.list, hook{names, runner.Hook{Events: events, Command: command}})
	return nil
}

func (h *hooks) words() ([]string, bool) {
	return strings.Split(strings.ReplaceAll(eventList+", "+endEvent, ", ", "= ")+"=", " "), false
}

// eventsOf returns the events with a name. A hook of failure also runs when the command
// ran and its outcome could not be recorded, as before unrecorded was a separate event.
func eventsOf(name string) ([]runner.Event, error) {
	switch e := runner.Event(name); {
	case name == endEvent:
		return runner.EndEvents(), nil
	case e == runner.EventFailure:
		return []runner.Event{e, runner.EventUnrecorded}, nil
	case slices.Contains(runner.Events(), e):
		return []runner.Event{e}, nil
	case name == "":
		return nil, errors.New("the name of an event is empty: want EVENT=CMD, where EVENT is " + eventList + ", or end")
	}
	return nil, fmt.Errorf("unknown event %s: want %s, or end", quote(name), eventList)
}

// closestEvent returns the event that a name is probably a misspelling of, or "".
func closestEvent(name string) string {
	return closest(strings.ToLower(strings.TrimSpace(name)), strings.Split(eventList+", "+endEvent, ", "))
}

// runnerHooks returns the hooks with their environment and their stdin. IDEM_EXIT_CODE
// is the exit status of idem, empty at the event start. Stdin is the object of
// --meta-file, and IDEM_REASON its reason.
func (o *runOptions) runnerHooks(unprotected bool, output *os.File) runner.Hooks {
	report := func(e runner.Event, call runner.Call, res runner.Result, err error) ([]string, []byte) {
		status := ""
		if e != runner.EventStart {
			status = strconv.Itoa(o.statusOf(res, call, err))
		}
		view := viewOf(res, call, err, unprotected)()
		b, _ := marshal(view) // all fields can be marshalled
		return []string{"IDEM_EXIT_CODE=" + status, "IDEM_REASON=" + view.Why}, b
	}
	hooks := runner.Hooks{Limit: hookLimit, KillAfter: hookKillAfter, Output: output, Report: report}
	for _, hook := range o.hooks.list {
		hooks.List = append(hooks.List, hook.Hook)
	}
	return hooks
}

// reportHookFaults warns of hooks that failed. It names them by event and number,
// because their commands may hold secrets.
func (a *app) reportHookFaults(faults []runner.HookFault) {
	for _, f := range faults {
		end := statusText(f.Status)
		switch {
		case f.Err != nil:
			end = "could not be run: " + f.Err.Error()
		case f.Stopped:
			end = fmt.Sprintf("was ended after %v", hookLimit)
		}
		a.ui.warn("%s hook %d %s", f.Event, f.Number, end)
	}
}
