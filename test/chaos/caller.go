package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"idem/test/internal/rig"
)

// notCalled is the code of a call that was not made.
const notCalled = -1000

// call is one call of idem that has ended.
type call struct {
	id   string
	code int // negative: died of that signal
	out  string
}

// call calls idem and waits for its end, which is soon when ctx is done.
func (r *killing) call(ctx context.Context, id, file string, args ...string) call {
	cmd := exec.CommandContext(ctx, r.idem, args...)
	cmd.Env = append(r.environ(r.ledger, id), "TMPDIR="+r.tmp())
	return finish(cmd, (*exec.Cmd).Start, id, filepath.Join(r.dir, "calls", file))
}

// environ is the environment of a call of idem.
func (l *lab) environ(ledger, id string) []string {
	return rig.Environ("IDEM_LEDGER="+ledger, envLab+"="+l.dir, envCall+"="+id)
}

// finish runs a call to its end. Its output goes to files: what a killed idem
// leaves behind would hold a pipe open.
func finish(cmd *exec.Cmd, start func(*exec.Cmd) error, id, out string) call {
	c := call{id: id, out: out}
	stdout, err := os.Create(c.out + ".out")
	must(err)
	defer stdout.Close()
	stderr, err := os.Create(c.out + ".err")
	must(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := start(cmd); errors.Is(err, errOver) {
		c.code = notCalled
		return c
	} else {
		must(err)
	}
	_ = cmd.Wait() // the state tells more
	c.code = status(cmd.ProcessState)
	return c
}

// must is for what the lab itself needs: without it nothing can be proved.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func status(s *os.ProcessState) int {
	if ws := s.Sys().(syscall.WaitStatus); ws.Signaled() {
		return -int(ws.Signal())
	}
	return s.ExitCode()
}

func (c call) stdout() string { return read(c.out + ".out") }
func (c call) stderr() string { return read(c.out + ".err") }

func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// callUntilDone is one caller: it calls again until it is told of a success, or
// that the key stays as it is.
func (s *subject) callUntilDone(ctx context.Context, number int) {
	rng := s.rng(number)
	policy := strings.Fields(s.policy.String())
	pause := func(least, most int) {
		time.Sleep(time.Duration(least+rng.IntN(most-least)) * time.Millisecond)
	}
	pause(0, 50)
	for n := 0; ctx.Err() == nil; n++ {
		args := append([]string{"run", "--key", s.key}, policy...)
		switch d := rng.IntN(10); {
		case d < 6:
			args = append(args, "--wait")
		case d < 8:
			args = append(args, fmt.Sprintf("--wait=%dms", 50+rng.IntN(300)))
		}
		id := s.key + "/" + strconv.Itoa(number) + "." + strconv.Itoa(n)
		done := make(chan struct{})
		if rng.IntN(8) == 0 {
			// Also where idem itself is at work: while it decides, begins, ends.
			go s.killSoon(id, time.Duration(rng.IntN(40))*time.Millisecond, done)
		} else {
			close(done)
		}
		s.journal.add(event{kind: called, call: id})
		c := s.call(ctx, id, fmt.Sprintf("%s.%d", s.key, number), append(append(args, "--"), s.command()...)...)
		s.journal.add(event{kind: returned, call: id, run: s.replyOf(c), code: c.code})
		<-done
		switch c.code {
		case 0:
			s.compare(c)
			return
		case exitInterrupted, exitFailed:
			if s.left.Load() {
				return
			}
			select {
			case s.settle <- c.code:
			default: // somebody else has told him
			}
			pause(30, 120)
		case exitBusy:
			pause(20, 120)
		case -sigKill, bodyFails:
			pause(0, 30)
		default: // the journal has it, and the file has what idem said
			return
		}
	}
}

// replyOf returns the run whose output a successful call got, whole lines of it
// and nothing else. It is empty for no output, as after a mark.
func (s *subject) replyOf(c call) string {
	out := c.stdout()
	line, _, ok := strings.Cut(out, "\n")
	if c.code != 0 || out == "" {
		return ""
	}
	run, ours := strings.CutPrefix(line, s.key+" ")
	if !ok || !ours || strings.ContainsAny(run, " ;") || strings.Repeat(line+"\n", len(out)/(len(line)+1)) != out {
		return "garbage"
	}
	return run
}

// compare holds the reply against that of the other callers.
func (s *subject) compare(c call) {
	reply := c.stdout()
	if !s.reply.CompareAndSwap(nil, &reply) && *s.reply.Load() != reply {
		s.complain(fault{noDifference, s.key, fmt.Sprintf("call %s got %.80q, another %.80q", c.id, reply, *s.reply.Load()), -1})
	}
}

// operate is the person who settles what idem refuses to decide.
func (s *subject) operate(ctx context.Context) {
	rng := s.rng(callers + 1)
	for n := 0; ; n++ {
		var code int
		select {
		case <-ctx.Done():
			return
		case code = <-s.settle:
		}
		how, kind := "retry", markRetry
		switch d := rng.IntN(20); {
		case d < 3:
			how, kind = "done", markDone
		case d < 5:
			how, kind = "failed", markFailed
		case d < 6 && code == exitInterrupted:
			s.left.Store(true)
			return
		}
		id := fmt.Sprintf("%s/op.%d", s.key, n)
		s.journal.add(event{kind: kind, call: id})
		// Not cut short: whether it was made must be known.
		c := s.call(context.Background(), id, s.key+".op", "mark", how, s.key, "--note", "chaos")
		s.journal.add(event{kind: marked, call: id, code: c.code})
		if c.code != 0 && c.code != exitBusy && c.code != exitUsage {
			s.complain(fault{noOddity, s.key, fmt.Sprintf("idem mark %s: status %d: %s", how, c.code, c.stderr()), -1})
		}
	}
}
