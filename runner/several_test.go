package runner

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"idem/ledger"
)

// Two calls that one runner makes at once do not affect each other. A signal for idem
// reaches both commands. It does not end idem, and both outcomes are recorded.
func TestTwoCallsAtOnce(t *testing.T) {
	k := newKit(t)
	c := k.shell(`echo x >>side; exec sleep 600`)
	c.Ledger = k.mem.Open()
	stdin, err := os.Open(os.DevNull)
	must(t, err)
	defer stdin.Close()
	c.Stdin = stdin
	results := make(chan Result, 2)
	for i := range cap(results) {
		call := c.Call
		call.ID.Key = fmt.Sprintf("k%d", i)
		go func() {
			res, err := c.Run(t.Context(), call)
			if err != nil {
				t.Errorf("%s: %v", call.ID.Key, err)
			}
			results <- res
		}()
	}
	k.until("the start of both", func() bool { return k.side() == cap(results) })
	must(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	for range cap(results) {
		res := <-results
		if cur := res.Record.Current; res.Status.Signal != syscall.SIGTERM || cur.Reason != ledger.ReasonSignal || cur.Ended.IsZero() || res.Unrecorded != nil || res.Fatal != 0 {
			t.Errorf("%s: got %+v, recorded %+v, unrecorded %v, fatal %v", res.Record.ID.Key, res.Status, cur, res.Unrecorded, res.Fatal)
		}
	}
}

// A replay does not change the signal dispositions of commands that the runner starts
// later.
func TestRunAfterAReplay(t *testing.T) {
	k := newKit(t)
	for range 2 {
		if o := k.first(k.job()); o.err != nil {
			t.Fatal(o.err)
		}
	}
	c := k.shell("kill -PIPE $$; echo alive")
	c.ID.Key, c.Limits.KillAfter = "pipe", time.Second
	if o := k.first(c); o.Status.Signal != syscall.SIGPIPE || o.out != "" {
		t.Errorf("got %+v, stdout %q, error %v", o.Status, o.out, o.err)
	}
}
