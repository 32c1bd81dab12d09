package main

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

// estate is a ledger with keys of all kinds, to be copied for a trial.
type estate struct {
	place
	known []known
}

// known is a key, what idem must answer when it is run again, and what it would
// answer from an earlier attempt.
type known struct {
	key     string
	args    []string // after idem
	want    reply
	earlier []reply
	spool   bool // its output is in a file
}

// says is the command of all keys: it writes down that it was started, and has
// an output that no other attempt has. Its arguments are LINES and STATUS.
const says = `echo "$IDEM_KEY" >>"$CHAOS_SIDE"
i=0; while [ $i -lt $1 ]; do echo "$i: said by run $IDEM_RUN_ID of $IDEM_KEY"; i=$((i+1)); done
[ $2 = 0 ] || echo "run $IDEM_RUN_ID fails" >&2
exit $2`

// waits is a command that is there until the file go appears beside its side
// file.
const waits = `echo "$IDEM_KEY" >>"$CHAOS_SIDE"; until [ -e "$CHAOS_SIDE.go" ]; do sleep .01; done; echo done`

// call calls idem and wants a status.
func (e *estate) call(idem string, want int, args ...string) (reply, error) {
	r := e.ask(idem, args...)
	if r.code != want {
		return r, fmt.Errorf("want status %d: %s", want, r)
	}
	return r, nil
}

// run runs a key and remembers the answer.
func (e *estate) run(idem, key string, lines, code int, flags ...string) error {
	args := append(append([]string{"run", "--key", key}, flags...), "--", "sh", "-c", says, "says", strconv.Itoa(lines), strconv.Itoa(code))
	r, err := e.call(idem, code, args...)
	e.known = append(e.known, known{key: key, args: args, want: r, spool: lines > 700})
	return err
}

// grow adds a key, of another kind each time.
func (e *estate) grow(idem string) error {
	i := len(e.known)
	key := fmt.Sprintf("estate:%03d", i)
	switch i % 12 {
	case 0, 1, 2:
		return e.run(idem, key, 3, 0)
	case 3:
		return e.run(idem, key, 0, 0, "--per", "year")
	case 4:
		return e.run(idem, key, 200, 0) // in ledger.db, on several pages
	case 5, 6:
		return e.run(idem, key, 900, 0) // in a file
	case 7:
		return e.run(idem, key, 2, 3, "--on-failure", "replay")
	case 8:
		return e.second(idem, key, 0, "run", "--key", key, "--force", "--", "sh", "-c", says, "says", "2", "0")
	case 9:
		return e.second(idem, key, 3, "mark", "done", key, "--note", "by hand")
	case 10:
		return e.second(idem, key, 0, "forget", key)
	default:
		args := []string{"run", "--key", key, "--", "sh", "-c", waits}
		live, err := e.start(idem, args...)
		if err != nil {
			return err
		}
		live.kill()
		r, err := e.call(idem, exitInterrupted, args...)
		e.known = append(e.known, known{key: key, args: args, want: r})
		return err
	}
}

// second runs a key, changes that, and asks again.
func (e *estate) second(idem, key string, code int, change ...string) error {
	if err := e.run(idem, key, 2, code); err != nil {
		return err
	}
	if _, err := e.call(idem, 0, change...); err != nil {
		return err
	}
	k := &e.known[len(e.known)-1]
	k.earlier = []reply{k.want}
	var err error
	k.want, err = e.call(idem, 0, k.args...)
	return err
}

// copy copies the estate to a directory.
func (e *estate) copy(dir string) (place, error) {
	p := place{filepath.Join(dir, "ledger"), filepath.Join(dir, "side")}
	err := filepath.WalkDir(e.ledger, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := p.ledger + strings.TrimPrefix(path, e.ledger)
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	})
	return p, err
}

// starts returns the keys whose commands were started, one each time.
func (p place) starts() []string {
	b, err := os.ReadFile(p.side)
	if err != nil {
		return nil // nobody was
	}
	return strings.Fields(string(b))
}

// startsOf counts those of one key.
func (p place) startsOf(key string) int {
	n := 0
	for _, k := range p.starts() {
		if k == key {
			n++
		}
	}
	return n
}

// running is a call whose command waits.
type running struct {
	place
	args []string
	cmd  *exec.Cmd
	done chan struct{}
	got  reply // once done
}

// start calls idem run with the command waits and returns when that is there.
func (p place) start(idem string, args ...string) (*running, error) {
	r := &running{place: p, args: args, cmd: exec.Command(idem, args...), done: make(chan struct{})}
	var out, errs strings.Builder
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = p.environ(), &out, &errs
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.WaitDelay = time.Second
	before := len(p.starts())
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = r.cmd.Wait() // the state tells more
		r.got = reply{args: args, code: status(r.cmd.ProcessState), out: out.String(), err: errs.String()}
		close(r.done)
	}()
	for end := time.Now().Add(tooLong); len(p.starts()) == before; time.Sleep(time.Millisecond) {
		select {
		case <-r.done:
			return nil, fmt.Errorf("was not started: %s", r.got)
		default:
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%q: no start in time", args)
		}
	}
	return r, nil
}

// kill kills idem and the command, if they are still there.
func (r *running) kill() {
	select {
	case <-r.done:
	default:
		group := -r.cmd.Process.Pid
		_ = syscall.Kill(group, syscall.SIGKILL)
		<-r.done
		for end := time.Now().Add(tooLong); syscall.Kill(group, 0) == nil && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // the command is not our child
		}
	}
}

// finish lets the command end.
func (r *running) finish() reply {
	must(os.WriteFile(r.side+".go", nil, 0o600))
	select {
	case <-r.done:
		return r.got
	case <-time.After(tooLong):
		r.kill()
		return reply{args: r.args, hung: true}
	}
}

// same tells whether a call was answered as another one. A refusal says how long
// ago things were.
func (r reply) same(s reply) bool {
	return r.code == s.code && r.out == s.out && (r.err == s.err || r.refusal())
}

// refusal tells whether idem chose the status itself and started nothing.
func (r reply) refusal() bool { return r.code >= 64 && r.code <= 80 }

// matches tells whether r is one of the replies.
func (r reply) matches(of []reply) bool { return slices.ContainsFunc(of, r.same) }
