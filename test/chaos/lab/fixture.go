package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Fixture is a ledger with keys of all kinds. Each trial works on a copy.
type Fixture struct {
	Sandbox
	Records []Record
	List    string // a file with Items
}

// Items are the items of the list of a Fixture.
var Items = []string{"one", "two", "three", "four", "five", "six"}

// MakeList makes the list in a directory.
func (e *Fixture) MakeList(dir string) error {
	e.List = filepath.Join(dir, "list")
	return os.WriteFile(e.List, []byte(strings.Join(Items, "\n")+"\n"), 0o600)
}

// Record is a key with the answer that idem must give when it is run again, and the
// answers from earlier attempts.
type Record struct {
	Key     string
	Args    []string // of idem
	Want    Reply
	Earlier []Reply
	Spool   bool // its output is recorded in a file
}

// SayScript is the command of all keys: it logs its start and writes output that no
// other attempt writes. Its arguments are LINES and STATUS.
const SayScript = `echo "$IDEM_KEY" >>"$CHAOS_STARTS"
i=0; while [ $i -lt $1 ]; do echo "$i: said by run $IDEM_RUN_ID of $IDEM_KEY"; i=$((i+1)); done
[ $2 = 0 ] || echo "run $IDEM_RUN_ID fails" >&2
exit $2`

// WaitScript is a command that runs until a file with the name of the start log and
// the suffix .go exists.
const WaitScript = `echo "$IDEM_KEY" >>"$CHAOS_STARTS"; until [ -e "$CHAOS_STARTS.go" ]; do sleep .01; done; echo done`

// callWant calls idem and returns an error for another status than want.
func (e *Fixture) callWant(idem string, want int, args ...string) (Reply, error) {
	r := e.Call(idem, args...)
	if r.Code != want {
		return r, fmt.Errorf("want status %d: %s", want, r)
	}
	return r, nil
}

// runRecord runs a new key and adds it to the records.
func (e *Fixture) runRecord(idem, key string, lines, code int, flags ...string) error {
	args := append(append([]string{"run", "--key", key}, flags...), "--", "sh", "-c", SayScript, "says", strconv.Itoa(lines), strconv.Itoa(code))
	r, err := e.callWant(idem, code, args...)
	e.Records = append(e.Records, Record{Key: key, Args: args, Want: r, Spool: lines > 700})
	return err
}

// Add adds a key. The kinds take turns.
func (e *Fixture) Add(idem string) error {
	i := len(e.Records)
	key := fmt.Sprintf("record:%03d", i)
	switch i % 12 {
	case 0, 1, 2:
		return e.runRecord(idem, key, 3, 0)
	case 3:
		return e.runRecord(idem, key, 0, 0, "--per", "year")
	case 4:
		return e.runRecord(idem, key, 200, 0) // on several pages of ledger.db
	case 5, 6:
		return e.runRecord(idem, key, 900, 0) // in a file
	case 7:
		return e.runRecord(idem, key, 2, 3, "--on-failure", "replay")
	case 8:
		return e.RunAndChange(idem, key, 0, "run", "--key", key, "--force", "--", "sh", "-c", SayScript, "says", "2", "0")
	case 9:
		return e.RunAndChange(idem, key, 3, "mark", "done", key, "--note", "by hand")
	case 10:
		return e.RunAndChange(idem, key, 0, "forget", key)
	default:
		args := []string{"run", "--key", key, "--", "sh", "-c", WaitScript}
		live, err := e.Start(idem, args...)
		if err != nil {
			return err
		}
		live.Kill()
		r, err := e.callWant(idem, ExitInterrupted, args...)
		e.Records = append(e.Records, Record{Key: key, Args: args, Want: r})
		return err
	}
}

// RunAndChange runs a key, changes its record with another call, and runs it again.
func (e *Fixture) RunAndChange(idem, key string, code int, change ...string) error {
	if err := e.runRecord(idem, key, 2, code); err != nil {
		return err
	}
	if _, err := e.callWant(idem, 0, change...); err != nil {
		return err
	}
	k := &e.Records[len(e.Records)-1]
	k.Earlier = []Reply{k.Want}
	var err error
	k.Want, err = e.callWant(idem, 0, k.Args...)
	return err
}

// CopyTo copies the fixture to a directory.
func (e *Fixture) CopyTo(dir string) (Sandbox, error) {
	p := NewSandbox(dir)
	return p, CopyLedger(e.Ledger, p.Ledger)
}

// Starts returns the start log: the key of each command that was started.
func (p Sandbox) Starts() []string {
	b, err := os.ReadFile(p.StartLog)
	if err != nil {
		return nil // nothing was started
	}
	return strings.Fields(string(b))
}

// StartsOf counts the starts of one key.
func (p Sandbox) StartsOf(key string) int {
	n := 0
	for _, k := range p.Starts() {
		if k == key {
			n++
		}
	}
	return n
}

// Running is a call whose command is running WaitScript.
type Running struct {
	Sandbox
	Args  []string
	cmd   *exec.Cmd
	done  chan struct{}
	reply Reply // valid once done is closed
}

// Start calls idem run with WaitScript and returns when the script has started.
func (p Sandbox) Start(idem string, args ...string) (*Running, error) {
	r := &Running{Sandbox: p, Args: args, cmd: exec.Command(idem, args...), done: make(chan struct{})}
	var out, errs strings.Builder
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = p.environ(), &out, &errs
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.WaitDelay = time.Second
	before := len(p.Starts())
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = r.cmd.Wait() // the process state has the details
		r.reply = Reply{args: args, Code: Status(r.cmd.ProcessState), Out: out.String(), Err: errs.String()}
		close(r.done)
	}()
	for end := time.Now().Add(HangAfter); len(p.Starts()) == before; time.Sleep(time.Millisecond) {
		select {
		case <-r.done:
			return nil, fmt.Errorf("was not started: %s", r.reply)
		default:
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%q: no start in time", args)
		}
	}
	return r, nil
}

// Kill kills idem and the command, unless they have ended.
func (r *Running) Kill() {
	select {
	case <-r.done:
	default:
		group := -r.cmd.Process.Pid
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-r.done
		for end := time.Now().Add(HangAfter); syscall.Kill(group, 0) == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // the command is not a child of this process
		}
	}
}

// Finish lets the command end and returns the answer.
func (r *Running) Finish() Reply {
	Must(os.WriteFile(r.StartLog+".go", nil, 0o600))
	select {
	case <-r.done:
		return r.reply
	case <-time.After(HangAfter):
		r.Kill()
		return Reply{args: r.Args, Hung: true}
	}
}

// SameAnswer reports whether two calls got the same answer. The messages of refusals are
// not compared, because they contain ages.
func (r Reply) SameAnswer(s Reply) bool {
	return r.Code == s.Code && r.Out == s.Out && (r.Err == s.Err || r.Refused())
}

// Refused reports whether the status is one with which idem refuses a call without the
// start of a command.
func (r Reply) Refused() bool { return r.Code >= 64 && r.Code <= 80 }

// MatchesAny reports whether r is the same answer as one of the replies.
func (r Reply) MatchesAny(of []Reply) bool { return slices.ContainsFunc(of, r.SameAnswer) }
