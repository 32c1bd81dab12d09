package runner

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Inputs.Starting is called before each attempt, and its result is stored with the
// attempt. It is never called for a replay or a refusal.
func TestStartingIsAskedBeforeEachAttempt(t *testing.T) {
	k := newKit(t)
	var asked []string
	call := func() testCall {
		c := k.shell("exit 3")
		c.Retries = Retries{N: 1, Delay: time.Millisecond, MaxDelay: time.Millisecond}
		c.Inputs.Starting = func(path string) []byte {
			asked = append(asked, path)
			return append(slices.Clone(c.Inputs.Encoded), fmt.Sprintf("-%d", len(asked))...)
		}
		return c
	}
	o := k.first(call())
	if len(asked) != 2 || asked[0] != asked[1] || asked[0] == "" {
		t.Fatalf("asked with %q", asked)
	}
	want := string(call().Inputs.Encoded) + "-2"
	if got := string(o.Record.Current.Inputs); got != want {
		t.Errorf("got the inputs %q, want %q", got, want)
	}
	if got := string(k.record().Current.Inputs); got != want {
		t.Errorf("%q is recorded, want %q", got, want)
	}
	again := call()
	again.Policy.OnFailure = ChoiceReplay
	if o := k.first(again); o.Action != ActionReplay {
		t.Fatalf("got %v", o.Decision)
	}
	again.Inputs.Fingerprint = "other"
	if o := k.first(again); o.Action != ActionRefuse {
		t.Fatalf("got %v", o.Decision)
	}
	if len(asked) != 2 {
		t.Errorf("asked %d times", len(asked))
	}
}
