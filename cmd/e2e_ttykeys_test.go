package cmd_test

import (
	"os"
	"strings"
	"testing"
)

// A command that dies of Ctrl-C also ends the script around it, as without
// --tty.
func TestTTYCtrlCEndsTheScript(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{"INT": ctrlC, "QUIT": "\x1c"} {
		b := newBox(t)
		x := b.shell()
		b.write("steps.sh", "echo $$ >script; idem run --key build --tty -- sh -c 'echo $$ >pid; exec sleep 300'\nidem run --key deploy --tty -- touch next\n")
		x.typeKeys("sh steps.sh\n")
		pid := b.waitPID("pid")
		x.typeKeys(key)
		b.waitExit(pid)
		b.waitExit(b.waitPID("script")) // text that is typed earlier may go to the command
		x.typeKeys("echo >over\n")
		b.waitLines("over", 1)
		b.wantState("build", "failed")
		if _, err := os.Stat(b.path("next")); err == nil {
			t.Errorf("%s: got a script that goes on, want it to end; the terminal shows %q", name, x.shown())
		}
	}
}

// Ctrl-C is a key of the command's terminal. A handler gets it once, and without
// a handler it ends both processes. idem restores the modes of the caller's
// terminal.
func TestTTYCtrlC(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	before := x.modes("before")
	x.typeKeys("idem run --key k --tty -- " + strings.Join(signalCounter(), " ") + "; echo $? >status\n")
	b.waitPID("pid")
	x.typeKeys(ctrlC)
	b.waitLines("signals", 1)
	pauseBriefly()
	b.write("go", "")
	b.waitLines("status", 1)
	b.wantLines("signals", 1)
	if s := b.read("status"); s != "5\n" {
		t.Errorf("got status %q, want 5; the terminal shows %q", s, x.shown())
	}

	x.typeKeys("idem run --key l --tty -- sh -c 'echo $$ >pid2; exec sleep 300'\n")
	pid := b.waitPID("pid2")
	x.typeKeys(ctrlC)
	b.waitExit(pid)
	b.waitUntil("the attempt is recorded", func() bool { return b.listedState("l") == "failed" })
	x.typeKeys("echo $? >status2\n")
	b.waitLines("status2", 1)
	if s := b.read("status2"); s != "130\n" {
		t.Errorf("the shell got status %q, want 130; the terminal shows %q", s, x.shown())
	}
	if rec := b.wantState("l", "failed"); rec.Signal != "SIGINT" {
		t.Errorf("got %+v, want signal %q", rec, "SIGINT")
	}
	if after := x.modes("after"); after != before {
		t.Errorf("got the modes %s, want %s", after, before)
	}
}

// Ctrl-Z stops the command, which may act first, and the job of idem in the
// shell. The shell has its terminal as it was. fg continues all processes, with
// the size that the terminal then has.
func TestTTYCtrlZ(t *testing.T) {
	t.Parallel()
	for name, prefix := range map[string]string{"alone": "", "in a script": "bash outer "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			x := b.prompt("dash", "-i") // unlike bash, dash leaves the modes alone
			x.resize(30, 80)
			before := x.modes("before")
			b.write("outer", `"$@"; exit $?`)
			// The script waits without children, which Ctrl-Z would stop before the
			// handler runs.
			b.write("job", `mkfifo never; exec 9<>never; trap 'echo tstp; kill -STOP $$; stty size >size' TSTP; `+
				`echo $$ >pid; echo >side; until [ -e go ]; do read -t 0.05 -u 9; done; exit 7`)
			x.typeKeys(prefix + "idem run --key k --tty -- bash job\n")
			b.waitLines("side", 1)
			command := b.waitPID("pid")
			for round := range 2 {
				n := string(rune('0' + round))
				x.typeKeys(ctrlZ)
				x.waitShown("Stopped")
				if s := procState(command); s != "T" {
					t.Errorf("the command: got state %s, want T", s)
				}
				x.typeKeys("jobs -p >jobs\n")
				idem := b.waitPID("jobs")
				if s := procState(idem); s != "T" {
					t.Errorf("the job: got state %s, want T", s)
				}
				if after := x.modes("stopped" + n); after != before {
					t.Errorf("got the modes %s, want %s", after, before)
				}
				b.wantStatus(b.run("run", "--key", "k", "--", "bash", "job"), 75)
				x.resize(31+uint16(round), 81)
				x.mu.Lock()
				x.seen.Reset()
				x.mu.Unlock()
				x.typeKeys("rm jobs; fg; echo $? >status\n")
				b.waitUntil("the command goes on", func() bool { return b.read("size") == "3"+string(rune('1'+round))+" 81\n" })
			}
			b.write("go", "")
			b.waitUntil("the status is 7", func() bool { return b.read("status") == "7\n" })
			if after := x.modes("after"); after != before {
				t.Errorf("got the modes %s, want %s", after, before)
			}
			if rec := b.wantState("k", "failed"); rec.Reason != "exit" || *rec.ExitCode != 7 {
				t.Errorf("got %+v, want reason %q and status %d", rec, "exit", 7)
			}
		})
	}
}

// The same holds for a command without a handler. bg continues it without the
// terminal, and fg gives the terminal back.
func TestTTYInTheBackground(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	x := b.shell()
	before := x.modes("before")
	x.typeKeys("idem run --key k --tty -- bash -c 'echo >side; until [ -e go ]; do sleep 0.05; done; echo >>side; read line; echo got $line; exit 6'; echo $? >status\n")
	b.waitLines("side", 1)
	x.typeKeys(ctrlZ)
	x.waitShown("Stopped")
	x.typeKeys("bg\n")
	b.write("go", "")
	b.waitLines("side", 2)
	if after := x.modes("behind"); after != before {
		t.Errorf("got the modes %s, want %s", after, before)
	}
	x.typeKeys("fg; echo $? >status\n")
	x.typeKeys("some words\n")
	x.waitShown("got some words")
	b.waitUntil("the status is 6", func() bool { return b.read("status") == "6\n" })

	// The same holds if it is in the background from the start.
	x.typeKeys("idem run --key l --tty -- sh -c 'stty -a >modes; read line; echo have $line; exit 7' &\n")
	b.waitUntil("it runs", func() bool { return strings.Contains(b.read("modes"), "opost") })
	if modes := b.read("modes"); !strings.Contains(modes, " echo ") || !strings.Contains(modes, " icanon ") {
		t.Errorf("got the modes %s, want echo and icanon", modes)
	}
	if after := x.modes("beside"); after != before {
		t.Errorf("got the modes %s, want %s", after, before)
	}
	x.typeKeys("fg; echo $? >status\n")
	x.typeKeys("two words\n")
	x.waitShown("have two words")
	b.waitUntil("the status is 7", func() bool { return b.read("status") == "7\n" })
	if after := x.modes("after"); after != before {
		t.Errorf("got the modes %s, want %s", after, before)
	}
}
