package collect

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"idem/test/chaos/lab"
)

// held are keys that run the whole time.
type held struct {
	*caller
	hold string
	keys []string
	ends chan lab.Call
}

func newHeld(r *collectTest) *held {
	c := newCaller(r, callers)
	return &held{caller: c, hold: filepath.Join(r.Dir, "hold"), keys: []string{dropPrefix + "held", "keep:held", "window:held", dropPrefix + "steps"}}
}

// heldScript takes the value of a step twice: before the hold file is removed, and after it.
const heldScript = `idem=$0 hold=$` + envHold + `
export ` + envHold + `=
value=$("$idem" step one -- "$@") || exit 90
echo ready >"$CHAOS_READY"
while [ -e "$hold" ]; do sleep 0.1; done
again=$("$idem" step one -- "$@") || exit 91
[ "$again" = "$value" ] || exit 92`

// heldOutput is the size of the output of each command.
const heldOutput = 50_000

// start starts the calls, and returns when their commands run.
func (h *held) start() error {
	lab.Must(os.WriteFile(h.hold, nil, 0o600))
	h.ends = make(chan lab.Call, len(h.keys))
	ready := filepath.Join(h.Dir, "ready")
	for i, key := range h.keys {
		args := []string{"run", "--key", key}
		if i == 2 {
			args = append(args, "--per", "hour")
		}
		args = append(args, "--")
		env := envHold + "=" + h.hold
		if i == 3 {
			args = append(args, "sh", "-c", heldScript, h.Idem)
		}
		args = append(args, h.command(heldOutput)...)
		go func() { h.ends <- h.Call("held", i, args, env, "CHAOS_READY="+ready) }()
	}
	for end := time.Now().Add(lab.Patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("the keys that are to run the whole time do not start")
		}
	}
}

// finish lets the calls end, and checks that each has recorded its end and its output.
func (h *held) finish() {
	lab.Must(os.Remove(h.hold))
	for range h.keys {
		if c := <-h.ends; c.Code != 0 {
			h.Fail(noHurt, c.ID, "a key that ran the whole time: status %d: %s", c.Code, c.Stderr())
		}
	}
	starts := map[string]int{}
	for _, e := range h.events() {
		if e.Kind == lab.Started {
			starts[e.Call]++
		}
	}
	if len(starts) != len(h.keys) {
		h.Fail(noHurt, "held", "got the starts %v", starts)
	}
	for name, n := range starts {
		if n != 1 {
			h.Fail(noHurt, name, "a key that ran the whole time was started %d times", n)
		}
	}
	for i, key := range h.keys[:3] {
		args := []string{"logs", key}
		if i == 2 {
			args = append(args, "--latest")
		}
		if c := h.Call("held", 10+i, args); c.Stdout() != string(lab.CommandOutput(key, heldOutput)) {
			h.Fail(noHurt, key, "a key that ran the whole time: idem logs: status %d with %d bytes: %s", c.Code, len(c.Stdout()), c.Stderr())
		}
	}
}
