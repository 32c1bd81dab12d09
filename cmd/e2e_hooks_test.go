package cmd_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// hangingHook returns flags for two hooks of an event: one that creates a file
// and hangs, and one after it.
func hangingHook(event string) []string {
	return []string{"--hook", event + "=echo $$ >pid; exec sleep 300", "--hook", event + "=echo x >>second"}
}

// A signal for idem while a hook runs ends the hook, and idem dies of it.
func TestE2ESignalDuringAHook(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		event, before, command string
		state                  string // of the key; empty if it has no record
		said                   string
	}{
		{"start", "", "echo x >>side", "", "came before the command was started"},
		{"success", "", "true", "succeeded", ""},
		{"failure", "", "exit 3", "failed", ""},
		{"replay", "true", "true", "succeeded", ""},
		{"mismatch", "true", "false", "succeeded", "was recorded with different inputs"},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			b := newBox(t)
			if test.before != "" {
				b.wantStatus(b.run("run", "--key", "k", "--", "sh", "-c", test.before), 0)
			}
			args := append([]string{"run", "-v", "--key", "k"}, hangingHook(test.event)...)
			c := b.idem(append(args, "--", "sh", "-c", test.command)...)
			pid := b.waitPID("pid")
			c.kill(sig)
			if r := c.wait(); r.sig != sig || !strings.Contains(r.err, test.said) || strings.Contains(r.err, "warning") {
				t.Errorf("%s: got %+v, want signal %v and stderr with %q, without a warning", test.event, r, sig, test.said)
			}
			b.waitExit(pid)
			b.wantLines("second", 0)
			b.wantLines("side", 0)
			if test.state == "" {
				b.wantStatus(b.run("show", "k"), 1)
			} else {
				b.wantState("k", test.state)
			}
			b.wantStatus(b.run("run", "--key", "k", "--force", "--on-mismatch", "rerun", "--", "true"), 0) // the key is free
		}
	}
}

// A signal that came before the hooks, during a delay or the command, does not
// keep the hooks from reporting the outcome.
func TestE2EHookAfterASignal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command, state string // of the key when the signal arrives
		code           int
	}{
		{"exit 3", "failed", 128 + int(syscall.SIGTERM)},
		{"trap 'exit 3' TERM; echo x >ready; while :; do sleep 0.05; done", "running", 3},
	} {
		b := newBox(t)
		c := b.idem("run", "--key", "k", "--retries", "1", "--retry-delay", "1h", "--hook", "failure=echo $IDEM_EXIT_CODE >>told", "--", "sh", "-c", test.command)
		b.waitUntil("the key is "+test.state, func() bool { return b.listedState("k") == test.state })
		if test.state == "running" {
			b.waitLines("ready", 1)
		}
		c.kill(syscall.SIGTERM)
		if r := c.wait(); r.code != test.code {
			t.Errorf("%s: got %+v, want status %d", test.command, r, test.code)
		}
		if got := b.read("told"); got != "3\n" {
			t.Errorf("%s: the hook wrote %q, want %q", test.command, got, "3\n")
		}
		b.wantState("k", "failed")
	}
}

// A hook that ignores a signal is killed, together with the processes that it
// has started.
func TestE2ESignalDuringAHookThatIgnoresIt(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	c := b.idem("run", "--key", "k", "--hook", "success=trap '' TERM; sleep 300 & echo $! >pid; wait; sleep 300", "--", "true")
	pid := b.waitPID("pid")
	c.kill(syscall.SIGTERM)
	if r := c.wait(); r.sig != syscall.SIGTERM {
		t.Errorf("got %+v, want signal %v", r, syscall.SIGTERM)
	}
	b.waitExit(pid)
}

// Ctrl-C on the terminal ends a hook and idem.
func TestE2ECtrlCDuringAHook(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.open("bash", "-c", `for i in 1 2 3; do idem run --key k$i --hook 'success=echo $$ >pid; exec sleep 300' -- true; done; echo after >after`)
	pid := b.waitPID("pid")
	x.typeKeys(ctrlC)
	if ws := x.end(); !ws.Signaled() || ws.Signal() != syscall.SIGINT {
		t.Errorf("bash ended with %#x, want SIGINT; the terminal shows %q", ws, x.shown())
	}
	b.waitExit(pid)
	b.wantLines("after", 0)
	b.wantState("k1", "succeeded")
}

// If idem is killed during the start hook, the attempt counts as interrupted.
// The hook may live on and does not hold the key.
func TestE2EKilledDuringTheStartHook(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	args := append([]string{"run", "--key", "k"}, hangingHook("start")...)
	c := b.idem(append(args, "--", "sh", "-c", "echo x >>side")...)
	pid := b.waitPID("pid")
	b.wantStatus(b.run("run", "--key", "k", "--", "sh", "-c", "echo x >>side"), 75)
	c.kill(syscall.SIGKILL)
	c.wait()
	if procState(pid) == "" {
		t.Error("got an ended hook, want a live one")
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "sh", "-c", "echo x >>side"), 79)
	b.wantLines("side", 0)
	b.wantStatus(b.run("run", "--key", "k", "--on-interrupted", "rerun", "--", "sh", "-c", "echo x >>side"), 0)
	b.wantLines("side", 1)
}

// A hook after the command does not hold the key, and neither do the processes
// that it leaves behind. idem does not wait for these processes.
func TestE2EHooksDoNotHoldTheKey(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	c := b.idem("run", "--key", "k", "--hook", "failure=sleep 300 & echo $! >daemon; echo $$ >pid; while [ ! -e go ]; do sleep 0.01; done", "--", "sh", "-c", "kill -KILL $$")
	b.waitPID("pid")
	b.wantStatus(b.run("run", "--key", "k", "--on-mismatch", "rerun", "--", "true"), 0)
	b.write("go", "")
	if r := c.wait(); r.sig != syscall.SIGKILL {
		t.Errorf("got %+v, want signal %v", r, syscall.SIGKILL)
	}
	if procState(b.waitPID("daemon")) == "" {
		t.Error("the process that the hook left behind has ended, want it alive")
	}
}

// A process that a hook leaves behind does not hold the pipe of idem's caller,
// which reads to the end: "$(idem run ... 2>&1)" ends with idem.
func TestE2EHookLeftoverDoesNotHoldTheCaller(t *testing.T) {
	t.Parallel()
	for _, event := range []string{"start", "success", "replay"} {
		b := newBox(t)
		if event == "replay" {
			b.wantStatus(b.run("run", "--key", "k", "--", "true"), 0)
		}
		r := b.wantStatus(b.sh("got=$(idem run --key k --hook '"+event+"=sleep 300 & echo $! >daemon; echo told >&2' -- true 2>&1); echo \"[$got]\""), 0)
		if r.out != "[told]\n" {
			t.Errorf("%s: the caller got %q, want %q", event, r.out, "[told]\n")
		}
		if procState(b.waitPID("daemon")) == "" {
			t.Errorf("%s: the process that the hook left behind has ended, want it alive", event)
		}
	}
}

// TestE2EHooksOfTheGuide runs the guide's hooks with a stand-in for mail and a
// monitor server of the test.
func TestE2EHooksOfTheGuide(t *testing.T) {
	t.Parallel()
	requireTool(t, "curl")
	var mu sync.Mutex
	var pings []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		pings = append(pings, r.URL.Path)
		if r.URL.Path == "/your-uuid" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	const monitor = "https://hc-ping.com"
	script := pageBlock(t, "../docs/guide.md", "--hook")
	if strings.Count(script, monitor+"/your-uuid") != 3 {
		t.Fatalf("got the guide's script %s, want three calls of the monitor", script)
	}
	script = strings.ReplaceAll(script, monitor, server.URL)

	b := newBox(t)
	b.write("mail", "#!/bin/sh\n(echo \"$@\"; cat) >>mailed\n")
	b.write("backup.sh", "#!/bin/sh\necho no space left >&2\n[ -e good ]\n")
	for _, name := range []string{"mail", "backup.sh"} {
		if err := os.Chmod(filepath.Join(b.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.env = append(b.env, "PATH="+b.dir+":"+binary()+":"+os.Getenv("PATH"), "no_proxy=127.0.0.1")
	check := func(r result, code int, want ...string) {
		t.Helper()
		b.wantStatus(r, code)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(pings, want) {
			t.Errorf("the monitor got %v, want %v; stderr:\n%s", pings, want, r.err)
		}
		pings = nil
	}
	check(b.sh(script), 1, "/your-uuid/start", "/your-uuid/fail")
	if got := b.read("mailed"); got != "-s backup failed: 1 root\nno space left\n" {
		t.Errorf("got the mail %q, want the failure and its output", got)
	}
	b.write("good", "")
	r := b.sh(script)
	check(r, 0, "/your-uuid/start", "/your-uuid")
	if !strings.Contains(r.err, "503") || !strings.HasSuffix(r.err, "idem: warning: success hook 1 exited with status 22\n") {
		t.Errorf("stderr: got %q, want a warning about the hook's status 22", r.err)
	}
	check(b.sh(script), 0)
}
