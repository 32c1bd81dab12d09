package cmd_test

import (
	"os"
	"syscall"
	"testing"
)

// verifyCall returns the arguments of a call whose success is verified by a command.
func verifyCall(verify string) []string {
	return []string{"run", "--key", "k", "--verify", verify, "--", "sh", "-c", "echo x >>side; echo out"}
}

// A verification holds nothing: other calls replay the key and run it again. A kill -9
// during the verification changes nothing, and a process that is left of it blocks no call.
func TestE2EVerificationKilled(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run(verifyCall("exit 1")...), 0) // the first run, which asks nothing
	c := b.idem(verifyCall("echo $$ >pid; exec sleep 300")...)
	verification := b.waitPID("pid")
	if r := b.wantStatus(b.run(verifyCall("exit 0")...), 0); r.out != "out\n" {
		t.Errorf("got %+v, want a replay", r)
	}
	b.wantLines("side", 1)
	c.kill(syscall.SIGKILL)
	c.wait()
	if procState(verification) == "" {
		t.Error("got a dead verification, want a live one")
	}
	b.wantState("k", "succeeded")
	b.wantStatus(b.run(verifyCall("exit 0")...), 0)
	b.wantLines("side", 1)
	b.wantStatus(b.run(verifyCall("exit 1")...), 0)
	b.wantLines("side", 2)
	if procState(verification) == "" {
		t.Error("got a dead verification, want a live one")
	}
}

// A signal for idem ends the verification and then idem. The exit status of that
// verification is not an answer, also for idem check.
func TestE2EVerificationSignalled(t *testing.T) {
	t.Parallel()
	for sig, verify := range map[syscall.Signal]string{
		syscall.SIGTERM: `echo $$ >pid; exec sleep 300`,
		syscall.SIGINT:  `trap 'exit 0' INT; echo $$ >pid; while :; do sleep 0.02; done`,
		syscall.SIGHUP:  `trap 'exit 1' HUP; echo $$ >pid; while :; do sleep 0.02; done`,
	} {
		b := newBox(t)
		b.wantStatus(b.run(verifyCall("exit 1")...), 0)
		for _, call := range [][]string{verifyCall(verify), {"check", "--ask", "--verify", verify, "k"}} {
			c := b.idem(call...)
			pid := b.waitPID("pid")
			c.kill(sig)
			if r := c.wait(); r.sig != sig || r.out != "" {
				t.Errorf("%v: %q: got %+v, want signal %v and no stdout", sig, call[0], r, sig)
			}
			b.waitExit(pid)
			if err := os.Remove(b.path("pid")); err != nil {
				t.Fatal(err)
			}
		}
		b.wantState("k", "succeeded")
		b.wantLines("side", 1)
	}
}

// One of many callers that find the effect gone runs the key again. Without --wait, each
// other call is refused while the key runs, or replays its success.
func TestE2EOneOfManyRunsWhatIsGone(t *testing.T) {
	t.Parallel()
	for _, wait := range []bool{true, false} {
		b := newBox(t)
		ask := verifyCall(`echo x >>asked; test $(wc -l <side) -gt 1`)
		if wait {
			ask = append([]string{"run", "--wait"}, ask[1:]...)
		}
		b.wantStatus(b.run(ask...), 0)
		for _, r := range b.runAll(20, func(int) []string { return ask }) {
			switch {
			case r.code == 75 && !wait:
			case r.code != 0 || r.out != "out\n":
				t.Errorf("wait %t: got %+v, want status 0 and stdout %q", wait, r, "out\n")
			}
		}
		b.wantLines("side", 2)
		b.wantState("k", "succeeded")
	}
}
