package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// smallDisk mounts a small file system for the output of commands. The ledger
// is on another one.
func (b *box) smallDisk() (dir string) {
	b.t.Helper()
	requireRoot(b.t)
	dir = b.path("small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := mount("-t", "tmpfs", "-o", "mode=700,size=1m", "tmpfs", dir); err != nil {
		skipMissing(b.t, "the right to mount a tmpfs: "+err.Error())
	}
	b.t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			b.t.Error(err)
		}
	})
	return dir
}

// A command's output goes to a file on a disk that gets full. A following `&&
// rm` must not run, live and in a replay. When there is room again, another
// call writes all of the output without running the command.
func TestE2EFullDiskIsNoSuccess(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]string{
		"plain": "", "tty": "--tty", "retries": "--retries 1 --retry-delay 1ms", "timeout": "--timeout 1h", "force": "--force",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			dir := b.smallDisk()
			run := "idem run --key k " + flags + " -- sh -c 'echo x >>side; seq 1 400000'"
			for range 2 {
				r := b.wantStatus(b.sh(run+" >small/file && echo ok"), 74)
				if r.out != "" {
					t.Errorf("the next command: got stdout %q, want none", r.out)
				}
				if !strings.Contains(r.err, "could not be written\nidem:   the command is done and recorded\nidem:   write /dev/stdout: no space left on device") {
					t.Errorf("stderr: got %q, want the failed write and its cause", r.err)
				}
				if again := strings.Contains(r.err, "call again when it can be written"); again != (name != "force") {
					t.Errorf("stderr: got a hint to call again %t, want %t: %q", again, name != "force", r.err)
				}
				b.wantState("k", "succeeded")
			}
			if err := os.Remove(dir + "/file"); err != nil {
				t.Fatal(err)
			}
			if err := mount("-o", "remount,size=64m", dir); err != nil {
				t.Fatal(err)
			}
			b.wantStatus(b.sh(run+" >small/file && echo ok"), 0)
			b.wantStatus(b.sh("seq 1 400000 >want; tr -d '\r' <small/file | cmp - want"), 0)
			if name != "force" {
				b.wantLines("side", 1)
			}
		})
	}
}

// If output cannot be written for any reason, status 0 becomes 74 and another
// status stays. A reader that goes away and a closed descriptor are not errors.
func TestE2EOutputThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	const fault, fine = 74, 0
	for _, test := range []struct {
		name, redirect string
		want           int
	}{
		{"full stdout", ">/dev/full", fault},
		{"full stderr", "2>/dev/full", fault},
		{"both full", ">/dev/full 2>&1", fault},
		{"full stdout, stderr without a reader", ">/dev/full 2> >(exec 0<&-; sleep 0)", fault},
		{"open for reading only", "1<side", fault},
		{"stderr for reading only", "2<side", fault},
		{"closed stdout", ">&-", fine},
		{"closed stderr", "2>&-", fine},
		{"all closed", "<&- >&- 2>&-", fine},
		{"a reader that leaves", "| head -c 1", fine},
		{"no reader", "| true", fine},
		{"a file that may not grow", ">limited", fault},
	} {
		for size, command := range map[string]string{
			"little": "echo x >>side; echo out; echo err >&2; exit $(cat code)",
			// This is more than the memory buffer holds. In a replay the kernel sends
			// it.
			"much": "echo x >>side; seq 1 300000; seq 1 300000 >&2; exit $(cat code)",
		} {
			for _, code := range []int{0, 3} {
				t.Run(fmt.Sprintf("%s, %s, %d", test.name, size, code), func(t *testing.T) {
					t.Parallel()
					b := newBox(t)
					b.write("side", "")
					b.write("code", fmt.Sprint(code))
					b.write("run", "idem run --key k --on-failure replay -- sh -c '"+command+"' "+test.redirect+"\nexit ${PIPESTATUS[0]}\n")
					script := "bash run"
					want := test.want
					if test.redirect == ">limited" {
						if size == "little" {
							return
						}
						// The limit applies to idem alone. Otherwise the command and the
						// ledger would have it too.
						b.wantStatus(b.run("run", "--key", "k", "--on-failure", "replay", "--", "sh", "-c", command), code)
						script = "trap '' XFSZ; ulimit -f 100; bash run"
					}
					if code != 0 {
						want = code
					}
					for range 2 { // live and replayed
						b.wantStatus(b.start([]string{"bash", "-c", script}).wait(), want)
						b.wantLines("side", 1)
						b.wantState("k", map[int]string{0: "succeeded", 3: "failed"}[code])
					}
				})
			}
		}
	}
}

// Output that the ledger had no room for is not replayed as empty output.
func TestE2EOutputOfAFullLedgerDisk(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.mountLedger("1m")
	run := []string{"run", "--key", "k", "--", "bash", "-c", "head -c 5242880 /dev/zero; echo x >>side"}
	b.wantStatus(b.run(run...), 0)
	r := b.wantStatus(b.run(run...), 74)
	if len(r.out) >= 5242880 || !strings.Contains(r.err, "is not complete\n") {
		t.Errorf("got %d bytes and stderr %q, want incomplete output and a note", len(r.out), r.err)
	}
	b.wantStatus(b.run("check", "k"), 74)
	b.wantStatus(b.run(append([]string{"run", "--partial"}, run[1:]...)...), 0)
	b.wantStatus(b.run(append([]string{"run", "--exact"}, run[1:]...)...), 69)
	b.wantLines("side", 1)
}

// No command succeeds if its answer cannot be written. One that prints nothing needs no stdout.
func TestE2EAnswersThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "k", "--", "echo", "out"), 0)
	for _, command := range []string{
		"list", "list --json", "list --jsonl", "list --jobs", "list --jobs --json", "list --mutexes --json", "show k", "show --json k", "logs k",
		"stats", "stats --json", "stats --prometheus", "check --json k", "wait --json k", "mark --json done k --force", "gc -n", "gc --json",
		"token k", "token --json k", "version", "version --json", "--version", "--help", "help", "help run", "help exit-status", "run --help", "each --help",
		"key --new", "key --key k -- echo out", "explain --key k -- echo out", "explain --json --key k -- echo out", "doctor", "doctor --json",
		"ledger path", "ledger path --json", "ledger check", "ledger check --json", "ledger repair", "completion bash", "completion zsh",
		"completion fish", "forget --json k",
	} {
		for redirect, fault := range map[string]string{
			">/dev/full": "no space left on device\n", "1</dev/null": "bad file descriptor\n", ">&-": "bad file descriptor\n", ">&- 2>&-": "",
		} {
			if r := b.sh("idem " + command + " " + redirect); r.code != 1 || !strings.HasSuffix(r.err, fault) {
				t.Errorf("idem %s %s: got status %d, want 1; stderr %q, want it to end with %q", command, redirect, r.code, r.err, fault)
			}
		}
	}
	b.wantStatus(b.run("run", "--key", "k", "--", "echo", "out"), 0)
	for _, command := range []string{"check k", "wait k", "mark retry --force k", "forget k"} {
		b.wantStatus(b.sh("idem "+command+" >&-"), 0)
	}
	// Some programs open /dev/null for both directions, to discard an output.
	for _, command := range []string{"list", "version", "ledger export", "ledger backup -", "doctor"} {
		b.wantStatus(b.sh("idem "+command+" 1<>/dev/null"), 0)
	}
	for _, command := range []string{"ledger export", "ledger backup -", "report --html -"} {
		b.wantStatus(b.sh("idem "+command+" >&-"), 64)
	}
}

// If idem is started without standard streams, /dev/null is in their places while it has a
// ledger. No file of a ledger has the descriptor of a stream, to which anything may be written.
func TestE2EClosedStreamsAreNoFiles(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	started := b.start([]string{"bash", "-c", `exec <&- >&- 2>&-; exec idem run --key k -- sh -c 'echo $$ >pid; until [ -e go ]; do sleep 0.05; done; echo out'`})
	b.waitPID("pid")
	waiter := b.start([]string{"bash", "-c", "exec <&- >&- 2>&-; exec idem wait k"})
	for name, c := range map[string]*call{"run": started, "wait": waiter} {
		dir := fmt.Sprintf("/proc/%d/fd/", c.cmd.Process.Pid)
		files := func() map[string]string {
			all := map[string]string{}
			links, _ := filepath.Glob(dir + "*")
			for _, link := range links {
				to, _ := os.Readlink(link)
				all[filepath.Base(link)] = to
			}
			return all
		}
		b.waitUntil("idem "+name+" has opened the ledger", func() bool {
			for _, to := range files() {
				if strings.HasPrefix(to, b.ledger+"/") {
					return true
				}
			}
			return false
		})
		all := files()
		for _, fd := range []string{"0", "1", "2"} {
			if all[fd] != os.DevNull {
				t.Errorf("idem %s: got %s as descriptor %s, want %s", name, all[fd], fd, os.DevNull)
			}
		}
	}
	b.write("go", "")
	b.wantStatus(started.wait(), 0)
	b.wantStatus(waiter.wait(), 0)
}
