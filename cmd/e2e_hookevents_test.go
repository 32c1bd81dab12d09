package cmd_test

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"idem/cmd"
)

// endsOfCalls has every way in which a call can end. Each shell script makes a last call
// with the flags $H, which have a hook of end.
var endsOfCalls = []struct {
	row    string // of the table of exit statuses
	before string // idem is not told of the end of these calls
	call   string // follows "idem run $H"
	told   string // the event, its reason and its exit status
	linux  bool   // needs /dev/full
}{
	{row: "64", call: `--key k --hash-file 'x/[' -- touch side`, told: "refused usage 64"},
	{row: "64", call: `--key k --hash-stdin --max-stdin 1 -- touch side <tell`, told: "refused usage 64"},
	{row: "64", call: `--key k --meta-file no/such/dir -- touch side`, told: "refused usage 64"},
	{row: "64", call: `--key k --replay-file no/such/file -- touch side`, told: "refused usage 64"},
	{row: "64", before: `export IDEM_LEDGER=relative`, call: `--key k -- touch side`, told: "refused usage 64"},
	{row: "64", call: `--key k --on-ledger-error run --ledger tell --hash-file 'x/[' -- touch side`, told: "refused usage 64"},
	{row: "64", before: `H="--key k -- idem run $H"`, call: `--key k -- touch side`, told: "refused recursive 64"},
	{row: "65", before: `idem run --key k -- true`, call: `--key k -- touch side`, told: "mismatch mismatch 65"},
	{row: "69", call: `--key k --ledger tell -- touch side`, told: "ledger ledger 69"},
	{row: "69", before: `idem run --key k -- true; rm ledger/ledger.db`, call: `--key k -- touch side`, told: "ledger ledger 69"},
	{row: "69", before: `idem run --key k --max-output 1 -- echo out`, call: `--key k --exact -- echo out`, told: "ledger inexact 69"},
	{row: "69", before: `idem run --key k -- seq 100000; rm ledger/output/*`, call: `--key k -- seq 100000`, told: "ledger ledger 69"},
	{row: "74", before: `idem run --key k --max-output 1 -- echo out`, call: `--key k -- echo out`, told: "replay succeeded 74"},
	{row: "74", call: `--key k -- echo out >/dev/full`, told: "success never_run 74", linux: true},
	{
		row: "75", before: `idem run --key k -- sh -c 'touch up; until test -e go; do sleep 0.02; done' & until test -e up; do sleep 0.02; done`,
		call: `--key k -- sh -c 'touch up; until test -e go; do sleep 0.02; done'`, told: "busy running 75",
	},
	{row: "79", before: `idem run --key k -- sh -c 'kill -KILL $PPID'`, call: `--key k -- sh -c 'kill -KILL $PPID'`, told: "interrupted interrupted 79"},
	{row: "79", call: `--key k --probe-first --probe 'exit 2' -- touch side`, told: "interrupted undecided 79"},
	{row: "79", before: `idem run --key k -- true`, call: `--key k --verify 'exit 2' -- true`, told: "interrupted unverified 79"},
	{row: "80", before: `idem run --key k -- false`, call: `--key k --on-failure refuse -- false`, told: "refused failed 80"},
	{row: "80", before: `idem run --key k -- false`, call: `--key k --max-attempts 1 -- false`, told: "refused exhausted 80"},
	{row: "124", call: `--key k --timeout 0.2 -- sleep 300`, told: "timeout never_run 124"},
	{row: "125", call: `--key k -- sh -c 'rm -r ledger; exit 3'`, told: "unrecorded unrecorded 125"},
	{row: "126", call: `--key k -- ./H`, told: "failure not_startable 126"},
	{row: "127", call: `--key k -- no-such-command`, told: "failure not_startable 127"},
	{row: "128+n", call: `--key k -- sh -c 'kill -TERM $$'`, told: "failure never_run 143"},
	{row: "128+n", call: `--key k --probe-first --probe 'kill -HUP $PPID; sleep 300' -- touch side`, told: "aborted signal 129"},
	{row: "other", call: `--key k -- true`, told: "success never_run 0"},
	{row: "other", call: `--key k -- sh -c 'exit 3'`, told: "failure never_run 3"},
	{row: "other", before: `idem run --key k -- true`, call: `--key k -- true`, told: "replay succeeded 0"},
	{row: "other", before: `idem run --key k -- sh -c 'exit 3'`, call: `--key k --on-failure replay -- sh -c 'exit 3'`, told: "replay failed 3"},
	{row: "other", call: `--key k --ok 3 -- sh -c 'exit 3'`, told: "success never_run 0"},
	{row: "other", call: `--key k --ledger tell --on-ledger-error run -- true`, told: "success ledger 0"},
	{row: "other", call: `--key k --ledger tell --exit-code ledger=0 -- touch side`, told: "ledger ledger 0"},
}

// Each end of a call fires one event, with its reason and the exit status of idem. The
// stdin of the hook is the object of --meta-file. An event that follows a refusal finds
// that nothing was started.
func TestE2EEveryEndOfACallHasAnEvent(t *testing.T) {
	t.Parallel()
	rows := cmd.ExitStatuses()
	age := regexp.MustCompile(`"age_seconds": \d+`)
	for _, end := range endsOfCalls {
		rows = slices.DeleteFunc(rows, func(row string) bool { return row == end.row })
		if end.linux && runtime.GOOS != "linux" {
			continue
		}
		b := newBox(t)
		b.script("tell", `echo "$IDEM_EVENT $IDEM_REASON $IDEM_EXIT_CODE" >>told; cat >stdin`)
		b.write("H", "")
		flags := `H="--hook end=./tell --meta-file meta"`
		if strings.Contains(end.call, "--meta-file") {
			flags = `H="--hook end=./tell"`
		}
		b.sh(flags + "\n" + end.before + "\nidem run $H " + end.call)
		if got := b.read("told"); got != end.told+"\n" {
			t.Errorf("%s; idem run %s: got the event %q, want %q", end.before, end.call, got, end.told)
		}
		b.wantNoFile("side")
		if b.read("meta") == "" { // it was not given, or could not be opened
			continue
		}
		if got, want := age.ReplaceAllString(b.read("stdin"), ""), age.ReplaceAllString(b.read("meta"), ""); got != want {
			t.Errorf("idem run %s: the hook got %s, and --meta-file %s", end.call, got, want)
		}
	}
	if len(rows) > 0 {
		t.Errorf("got no call that ends with %v, want one for each exit status", rows)
	}
}

// A call that cannot know its key or its record tells what the flags say, and no token.
func TestE2EHookOfACallWithoutALedger(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	const hook = `--hook 'end=echo "$IDEM_EVENT,$IDEM_KEY,$IDEM_NAMESPACE,$IDEM_WINDOW,$IDEM_LEDGER,${IDEM_TOKEN-},${IDEM_RUN_ID-},${IDEM_ATTEMPT-}" >>told' `
	b.write("file", "")
	b.sh(`export IDEM_LEDGER=$PWD/file IDEM_TOKEN=outer IDEM_RUN_ID=outer IDEM_ATTEMPT=7
idem run --namespace prod --key k --per day --tz UTC --at 2026-11-22 ` + hook + `-- true
idem run --per day --tz UTC --at 2026-11-22 ` + hook + `-- true`)
	want := "ledger,k,prod,2026-11-22," + b.path("file") + ",,,\nledger,,default,2026-11-22," + b.path("file") + ",,,\n"
	if got := b.read("told"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A kill -9 of idem in a hook of the end changes nothing: the outcome is recorded, and
// the key is free. The hook need not have ended.
func TestE2EKilledDuringAHookOfTheEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ command, state string }{
		{"echo x >>side", "succeeded"},
		{"echo x >>side; exit 3", "failed"},
	} {
		b := newBox(t)
		c := b.idem(append(append([]string{"run", "--key", "k"}, hangingHook("end")...), "--", "sh", "-c", test.command)...)
		b.waitPID("pid")
		c.kill(syscall.SIGKILL)
		c.wait()
		b.wantState("k", test.state)
		r := b.run("run", "--key", "k", "--on-failure", "replay", "--", "sh", "-c", test.command)
		if r.code != map[string]int{"succeeded": 0, "failed": 3}[test.state] {
			t.Errorf("%s: got %+v, want a replay", test.command, r)
		}
		b.wantLines("side", 1)
	}
}

// A hook of the end that calls idem for its own key finds the outcome, also after a
// refusal, and does not start the command a second time.
func TestE2EHookOfTheEndCallsItsOwnKey(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("again", "idem run --key k -- sh -c 'echo x >>side'; echo \"$IDEM_EVENT $?\" >>told; idem show k | grep '^state'\n")
	for _, args := range [][]string{{"sh", "-c", "echo x >>side"}, {"sh", "-c", "echo x >>side"}, {"false"}} {
		b.run(append([]string{"run", "--key", "k", "--hook", "end=sh again", "--"}, args...)...)
	}
	if got, want := b.read("told"), "success 0\nreplay 0\nmismatch 0\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.wantLines("side", 1)
}

// A full disk has events too: nothing was started, or the outcome is not recorded.
func TestE2EHooksOnAFullDisk(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	dir := b.mountLedger("1m")
	free := b.fillDisk(dir)
	b.wantStatus(b.run("run", "--key", "k", "--hook", "ledger=echo $IDEM_EVENT $IDEM_EXIT_CODE >>told", "--", "touch", "side"), 69)
	if got := b.read("told"); got != "ledger 69\n" {
		t.Errorf("got the event %q, want ledger", got)
	}
	b.wantNoFile("side")
	free()
	b.wantStatus(b.run("run", "--key", "before", "--", "true"), 0)
	// The command itself fills the disk.
	b.script("fill", "cat /dev/zero >"+dir+"/filler 2>/dev/null; echo x >>side; exit 3")
	r := b.run("run", "--key", "full", "--hook", "end=echo $IDEM_EVENT $IDEM_REASON $IDEM_EXIT_CODE >told", "--", "./fill")
	want := map[int]string{3: "failure never_run 3\n", 125: "unrecorded unrecorded 125\n"}[r.code]
	if got := b.read("told"); got != want || want == "" {
		t.Errorf("got the event %q and %+v, want them to agree", got, r)
	}
	b.wantLines("side", 1)
}

// A signal for idem during a hook of the end ends the hook and idem, also if the ledger
// could not be used.
func TestE2ESignalDuringAHookOfAnError(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.write("file", "")
	args := append([]string{"run", "--ledger", "file", "--key", "k"}, hangingHook("ledger")...)
	c := b.idem(append(args, "--", "touch", "side")...)
	pid := b.waitPID("pid")
	c.kill(syscall.SIGTERM)
	if r := c.wait(); r.sig != syscall.SIGTERM || !strings.Contains(r.err, "not a directory") {
		t.Errorf("got %+v, want signal %v and the fault of the ledger", r, syscall.SIGTERM)
	}
	b.waitExit(pid)
	b.wantLines("second", 0)
	b.wantNoFile("side")
}

// The second signal ends a hook of aborted. idem dies of the first one.
func TestE2ESecondSignalEndsAHookOfAborted(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	args := append([]string{"run", "--key", "k", "--hook", "start=echo $$ >started; exec sleep 300"}, hangingHook("aborted")...)
	c := b.idem(append(args, "--", "touch", "side")...)
	b.waitPID("started")
	c.kill(syscall.SIGTERM)
	pid := b.waitPID("pid")
	b.wantStatus(b.run("run", "--key", "k", "--on-mismatch", "rerun", "--", "true"), 0) // the key is free
	c.kill(syscall.SIGINT)
	if r := c.wait(); r.sig != syscall.SIGTERM {
		t.Errorf("got %+v, want signal %v", r, syscall.SIGTERM)
	}
	b.waitExit(pid)
	b.wantLines("second", 0)
	b.wantNoFile("side")
}
