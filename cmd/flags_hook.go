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

// How long a hook may take, and how long after it was told to end. The caller waits
// for it.
const (
	hookLimit     = 30 * time.Second
	hookKillAfter = 5 * time.Second
)

// hooks is the value of --hook: EVENT=CMD, repeatable.
type hooks struct{ list []runner.Hook }

func (h *hooks) flags(f *pflag.FlagSet) {
	f.Var(h, "hook", "run the shell command CMD on an event: `EVENT=CMD`, where EVENT is "+eventList()+"; repeatable")
}

func (h *hooks) String() string { return "" }
func (h *hooks) Type() string   { return "EVENT=CMD" }

func (h *hooks) Set(s string) error {
	name, command, ok := strings.Cut(s, "=")
	for _, e := range runner.Events() {
		switch {
		case !ok || string(e) != name:
		case strings.TrimSpace(command) == "":
			return fmt.Errorf("the command for %s is empty: a variable may be unset", name)
		default:
			h.list = append(h.list, runner.Hook{Event: e, Command: command})
			return nil
		}
	}
	return errors.New("want EVENT=CMD, where EVENT is one of " + eventList())
}

// at reports whether there is a hook at an event.
func (h *hooks) at(e runner.Event) bool {
	return slices.ContainsFunc(h.list, func(hook runner.Hook) bool { return hook.Event == e })
}

func eventList() string {
	var names []string
	for _, e := range runner.Events() {
		names = append(names, string(e))
	}
	return strings.Join(names, ", ")
}

// of returns the hooks, and what they find: the exit status of idem, which is empty
// at a start, and the object of --meta-file as their stdin.
func (h *hooks) of(codes exitCodes, output *os.File) runner.Hooks {
	report := func(e runner.Event, call runner.Call, res runner.Result, err error) ([]string, []byte) {
		view := metaOf(res, call)
		if err != nil {
			view = metaOfError(call.ID, err)
		}
		status := ""
		if e != runner.EventStart {
			status = strconv.Itoa(statusOf(codes, res, call, err))
		}
		b, _ := marshal(view()) // all of its fields can be
		return []string{"IDEM_EXIT_CODE=" + status}, b
	}
	return runner.Hooks{List: h.list, Limit: hookLimit, KillAfter: hookKillAfter, Output: output, Report: report}
}

// statusOf returns the exit status that a call ends with.
func statusOf(codes exitCodes, res runner.Result, call runner.Call, err error) int {
	switch {
	case err != nil:
		return codes.of(failureOf(err).code)
	case res.Action == runner.ActionRefuse:
		return codes.of(refusal(res, call).code)
	case res.Unrecorded != nil:
		return exitUnrecorded
	case undelivered(res, call) != nil:
		return codes.of(exitOutput)
	default:
		return exitStatus(res.Record.Current)
	}
}

// tellHookFaults warns of hooks that failed. It names them by event and number,
// because their commands may hold secrets.
func (a *app) tellHookFaults(faults []runner.HookFault) {
	for _, f := range faults {
		how := statusText(f.Status)
		switch {
		case f.Err != nil:
			how = "could not be run: " + f.Err.Error()
		case f.Stopped:
			how = fmt.Sprintf("was ended after %v", hookLimit)
		}
		a.ui.warn("%s hook %d %s", f.Event, f.Number, how)
	}
}
