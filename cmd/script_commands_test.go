package cmd_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"idem/ledger/drivers"
)

// scriptPatience is the longest wait of a script for an expected event.
const scriptPatience = time.Minute

// scriptCommands are the commands that scripts have in addition to those of
// testscript. An END is an exit status, or the name of the signal that ended
// the program.
var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	// status END program args...: runs the program and checks how it ends.
	"status": scriptCmd(2, func(ts *testscript.TestScript, args []string) { cmdStatus(ts, args[0], args[1:]) }),
	// refused STATUS program args...: like status. It also checks that stderr is
	// an error with details and hints, after any notes about waiting, and that
	// $IDEM_LEDGER is unchanged.
	"refused": scriptCmd(2, cmdRefused),
	// unchanged END program args...: like status, and checks that the program
	// leaves $IDEM_LEDGER unchanged.
	"unchanged": scriptCmd(2, cmdUnchanged),
	// start JOB program args...: runs the program in the background. Its output
	// goes to JOB.out and JOB.err.
	// signal SIGNAL JOB: sends a signal to it.
	// end END JOB: waits for its end and checks it.
	"start":  scriptCmd(2, cmdStart),
	"signal": scriptCmd(2, cmdSignal),
	"end":    scriptCmd(2, cmdEnd),
	// schema NAME FILE: checks that the JSON of the file is as docs/schema/NAME.json says, and
	// has no other fields. With lines/NAME, each line is JSON.
	"schema": scriptCmd(2, cmdSchema),
	// screen COLUMNS END program args...: runs the program on a terminal of this width, checks
	// how it ends, and writes what the terminal shows to the file screen.
	"screen": scriptCmd(3, cmdScreen),
	// fits COLUMNS FILE: checks that no line is wider.
	"fits": scriptCmd(2, cmdFits),
	// waitfile FILE...: waits until the files exist.
	"waitfile": scriptCmd(1, cmdWaitfile),
	// waitline REGEXP FILE: waits until a line of the file matches.
	"waitline": scriptCmd(2, cmdWaitline),
	// lines N FILE: checks the number of lines; a missing file has none.
	"lines": scriptCmd(2, cmdLines),
	// masked FILE TO: copies the file, with times, ids and names of this machine
	// masked.
	"masked": scriptCmd(2, cmdMasked),
	// absent TEXT...: no text is in the ledger, nor in its files on this host. With !, each
	// of them is.
	"absent": cmdAbsent,
	// damage: changes a byte of each large output of the ledger.
	"damage": scriptCmd(0, cmdDamage),
	// items KEY STATE ITEM...: records items of a batch, see script_items_test.go.
	"items": scriptCmd(3, cmdItems),
	// json FILE [PATH=VALUE | PATH]...: see script_json_test.go.
	"json": scriptCmd(1, cmdJSON),
}

// scriptCmd returns a command that cannot be negated and requires at least n
// arguments.
func scriptCmd(n int, f func(*testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < n {
			ts.Fatalf("got a negation or too few arguments; want a call as in script_commands_test.go")
		}
		f(ts, args)
	}
}

func cmdStatus(ts *testscript.TestScript, want string, argv []string) {
	err := ts.Exec(argv[0], argv[1:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	got := "0"
	if exit != nil {
		got = scriptEnding(exit.ProcessState)
	}
	if got != want {
		ts.Fatalf("got the end %s, want %s", got, want)
	}
	stderr := ts.ReadFile("stderr")
	if fault := scriptUnfit(stderr); fault != "" {
		ts.Fatalf("%s", fault)
	}
	if fault := messageFault(stderr, maxMessage); fault != "" {
		ts.Fatalf("%s", fault)
	}
}

func scriptEnding(p *os.ProcessState) string {
	if ws := p.Sys().(syscall.WaitStatus); ws.Signaled() {
		return unix.SignalName(ws.Signal())
	}
	return strconv.Itoa(p.ExitCode())
}

func cmdUnchanged(ts *testscript.TestScript, args []string) {
	place := ts.Getenv("IDEM_LEDGER")
	before := scriptSnapshot(ts, place)
	cmdStatus(ts, args[0], args[1:])
	if diff := cmp.Diff(before, scriptSnapshot(ts, place)); diff != "" {
		ts.Fatalf("got a changed ledger, want it unchanged (-before +after):\n%s", diff)
	}
}

func cmdRefused(ts *testscript.TestScript, args []string) {
	cmdUnchanged(ts, args)
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("got output on stdout, want none")
	}
	text, ended := strings.CutSuffix(ts.ReadFile("stderr"), "\n")
	lines := strings.Split(text, "\n")
	for len(lines) > 1 && strings.HasPrefix(lines[0], "idem: note: waiting for ") { // these come before the refusal
		lines = lines[1:]
		for len(lines) > 1 && slices.Contains([]string{"detail", "hint"}, messageKind(lines[0])) {
			lines = lines[1:]
		}
	}
	if !ended || messageKind(lines[0]) != "error" {
		ts.Fatalf("got other stderr, want it to begin with an error of idem")
	}
	hints := false
	for _, line := range lines[1:] {
		kind := messageKind(line)
		if kind != "hint" && (kind != "detail" || hints) {
			ts.Fatalf("got the line %q, want an error with details and then hints", line)
		}
		hints = kind == "hint"
	}
}

type scriptJobsKey struct{}

// scriptJobs are a script's background programs that have not ended yet.
type scriptJobs map[string]*scriptJob

type scriptJob struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (j scriptJobs) kill() {
	for _, job := range j {
		_ = job.cmd.Process.Kill()
		<-job.ended
	}
}

// scriptStartEnv are the variables that a program in the background or on a terminal gets.
var scriptStartEnv = []string{
	"WORK", "PATH", "HOME", "XDG_STATE_HOME", "STATE_DIRECTORY", "TMPDIR", "TZ", "GORACE",
	"IDEM_LEDGER", "IDEM_NAMESPACE", "IDEM_TEST_REMIND", "PGPASSFILE", "IDEM_PAGER", "PAGER", "LESS",
	"TERM", "COLUMNS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE",
}

func cmdStart(ts *testscript.TestScript, args []string) {
	name, argv := args[0], args[1:]
	all := ts.Value(scriptJobsKey{}).(scriptJobs)
	if all[name] != nil {
		ts.Fatalf("got a running job %s, want another name", name)
	}
	stdout, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	defer stderr.Close()
	c := scriptProgram(ts, argv)
	c.Stdout, c.Stderr = stdout, stderr
	ts.Check(c.Start())
	j := &scriptJob{c, make(chan struct{})}
	go func() {
		_ = c.Wait() // cmdEnd reads the ProcessState
		close(j.ended)
	}()
	all[name] = j
}

// scriptProgram returns a program that testscript itself does not run.
func scriptProgram(ts *testscript.TestScript, argv []string) *exec.Cmd {
	// The lookup uses the script's PATH, which begins with the test's own
	// programs.
	path := argv[0]
	if !strings.Contains(path, "/") {
		for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
			if p := filepath.Join(dir, argv[0]); unix.Access(p, unix.X_OK) == nil {
				path = p
				break
			}
		}
	}
	c := exec.Command(path, argv[1:]...)
	c.Dir = ts.MkAbs(".")
	for _, name := range scriptStartEnv {
		if v := ts.Getenv(name); v != "" {
			c.Env = append(c.Env, name+"="+v)
		}
	}
	return c
}

func scriptJobNamed(ts *testscript.TestScript, name string) *scriptJob {
	j := ts.Value(scriptJobsKey{}).(scriptJobs)[name]
	if j == nil {
		ts.Fatalf("got no job %s, want one", name)
	}
	return j
}

func cmdSignal(ts *testscript.TestScript, args []string) {
	sig := unix.SignalNum(args[0])
	if sig == 0 {
		ts.Fatalf("got %s, want a signal", args[0])
	}
	ts.Check(scriptJobNamed(ts, args[1]).cmd.Process.Signal(sig))
}

func cmdEnd(ts *testscript.TestScript, args []string) {
	j := scriptJobNamed(ts, args[1])
	select {
	case <-j.ended:
		delete(ts.Value(scriptJobsKey{}).(scriptJobs), args[1])
	case <-time.After(scriptPatience):
		ts.Fatalf("got a running job %s, want it to end", args[1])
	}
	if got := scriptEnding(j.cmd.ProcessState); got != args[0] {
		ts.Fatalf("job %s: got the end %s, want %s; its stderr:\n%s", args[1], got, args[0], ts.ReadFile(args[1]+".err"))
	}
}

func cmdWaitfile(ts *testscript.TestScript, args []string) {
	for _, name := range args {
		if !scriptAppears(ts.MkAbs(name)) {
			ts.Fatalf("got no file %s, want it", name)
		}
	}
}

// scriptAppears waits until a file exists, and reports whether it does in time.
func scriptAppears(path string) bool {
	for begin := time.Now(); time.Since(begin) < scriptPatience; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Lstat(path); err == nil {
			return true
		}
	}
	return false
}

func cmdWaitline(ts *testscript.TestScript, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	for begin := time.Now(); time.Since(begin) < scriptPatience; time.Sleep(5 * time.Millisecond) {
		if b, _ := os.ReadFile(ts.MkAbs(args[1])); want.Match(b) {
			return
		}
	}
	ts.Fatalf("%s: got no line that matches %s, want one", args[1], args[0])
}

func cmdLines(ts *testscript.TestScript, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[1]))
	if args[1] == "stdout" || args[1] == "stderr" {
		b, err = []byte(ts.ReadFile(args[1])), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		ts.Fatalf("%v", err)
	}
	if n := bytes.Count(b, []byte("\n")); strconv.Itoa(n) != args[0] {
		ts.Fatalf("%s: got %d lines, want %s:\n%s", args[1], n, args[0], b)
	}
}

// scriptMasks replace, in this order, the text that differs from run to run.
var scriptMasks = []struct {
	mask string
	of   *regexp.Regexp
}{
	{"TIME", regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)},
	{"(AGO)", regexp.MustCompile(`\((now|\d+ \w+ ago)\)`)},
	{"UUID", regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)},
	{"HASH", regexp.MustCompile(`\b([0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{64})\b`)},
	{"by USER@HOST (pid PID)", regexp.MustCompile(`by \S+@\S+ \(pid \d+\)`)},
	{"USER@HOST:PID", regexp.MustCompile(`\S+@\S+:\d+\b`)},
	{"fence: N", regexp.MustCompile(`fence: +\d+`)},               // hosts share the numbers
	{"  TOOK  AGO", regexp.MustCompile(` +[0-9.]+m?s +\d+s ago`)}, // of idem list on a terminal, and of idem show
	{"-  AGO", regexp.MustCompile(`- +\d+s ago`)},
	{"${1}…$2", regexp.MustCompile(`(?m)(\S{3})\S*…\S*(\S{3})$`)}, // by how much depends on the other columns
	{"took TIME", regexp.MustCompile(`took [0-9.]+m?s`)},
	{"  ", regexp.MustCompile(` {2,}`)}, // columns
}

func cmdMasked(ts *testscript.TestScript, args []string) {
	text := ts.ReadFile(args[0])
	if place := ts.Getenv("IDEM_LEDGER"); drivers.IsShared(place) { // as if it were the usual directory
		text = regexp.MustCompile(`(?m)^lease: .*\n`).ReplaceAllString(text, "")
		text = regexp.MustCompile(`IDEM_FENCE=\d+`).ReplaceAllString(text, "IDEM_FENCE=1") // keys share the numbers
		text = regexp.MustCompile(`passfile=[^&\s]*&`).ReplaceAllString(text, "")          // comes from PGPASSFILE
		text = strings.NewReplacer(ts.Getenv("PLACE_WORD"), "$WORK/ledger", place, "$WORK/ledger").Replace(text)
	}
	for _, m := range scriptMasks {
		text = m.of.ReplaceAllString(text, m.mask)
	}
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "$WORK")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o666))
}
