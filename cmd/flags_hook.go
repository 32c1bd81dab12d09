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
type hooks struct{ list []runner.Hook }

func (h *hooks) addTo(f *pflag.FlagSet) {
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

// has reports whether there is a hook for an event.
func (h *hooks) has(e runner.Event) bool {
	return slices.ContainsFunc(h.list, func(hook runner.Hook) bool { return hook.Event == e })
}

func eventList() string {
	var names []string
	for _, e := range runner.Events() {
		names = append(names, string(e))
	}
	return strings.Join(names, ", ")
}

// runnerHooks returns the hooks with their environment and their stdin. IDEM_EXIT_CODE
// is the exit status of idem, empty at the event start. Stdin is the object of
// --meta-file.
func (o *runOptions) runnerHooks(output *os.File) runner.Hooks {
	report := func(e runner.Event, call runner.Call, res runner.Result, err error) ([]string, []byte) {
		view := metaOf(res, call)
		if err != nil {
			view = metaOfError(call.ID, err)
		}
		status := ""
		if e != runner.EventStart {
			status = strconv.Itoa(o.statusOf(res, call, err))
		}
		b, _ := marshal(view()) // all fields can be marshalled
		return []string{"IDEM_EXIT_CODE=" + status}, b
	}
	return runner.Hooks{List: o.hooks.list, Limit: hookLimit, KillAfter: hookKillAfter, Output: output, Report: report}
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
