package kill

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"idem/test/chaos/lab"
)

// callIdem calls idem and waits for its end. It kills idem when ctx is done.
func (r *killTest) callIdem(ctx context.Context, id, file string, args ...string) lab.Call {
	cmd := exec.CommandContext(ctx, r.Idem, args...)
	cmd.Env = append(r.Environ(r.ledger, id), "TMPDIR="+r.tmp())
	return lab.Finish(cmd, (*exec.Cmd).Start, id, filepath.Join(r.Dir, "calls", file))
}

// callUntilDone is one caller. It calls again until a call succeeds or the operator
// leaves the key interrupted.
func (s *keyTest) callUntilDone(ctx context.Context, number int) {
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
			// This also kills idem before the start and after the end of its command.
			go s.killAfter(id, time.Duration(rng.IntN(40))*time.Millisecond, done)
		} else {
			close(done)
		}
		s.journal.Add(lab.Event{Kind: lab.Called, Call: id})
		c := s.callIdem(ctx, id, fmt.Sprintf("%s.%d", s.key, number), append(append(args, "--"), s.command()...)...)
		s.journal.Add(lab.Event{Kind: lab.Returned, Call: id, Run: s.replyOf(c), Code: c.Code})
		<-done
		switch c.Code {
		case 0:
			s.compare(c)
			return
		case lab.ExitInterrupted, lab.ExitFailed:
			if s.left.Load() {
				return
			}
			select {
			case s.undecided <- c.Code:
			default: // another caller has woken the operator
			}
			pause(30, 120)
		case lab.ExitBusy:
			pause(20, 120)
		case -lab.SigKill, commandFails:
			pause(0, 30)
		default: // check reports it, with the message of idem
			return
		}
	}
}

// replyOf returns the run ID in the output of a successful call, or "" without output, as
// after a mark. It returns "garbage" if the output is not whole lines of one run.
func (s *keyTest) replyOf(c lab.Call) string {
	out := c.Stdout()
	line, _, ok := strings.Cut(out, "\n")
	if c.Code != 0 || out == "" {
		return ""
	}
	run, hasKey := strings.CutPrefix(line, s.key+" ")
	if !ok || !hasKey || strings.ContainsAny(run, " ;") || strings.Repeat(line+"\n", len(out)/(len(line)+1)) != out {
		return "garbage"
	}
	return run
}

// compare compares a reply with the first reply to another caller.
func (s *keyTest) compare(c lab.Call) {
	reply := c.Stdout()
	if !s.reply.CompareAndSwap(nil, &reply) && *s.reply.Load() != reply {
		s.fail(lab.Fault{Promise: noDifference, Key: s.key, What: fmt.Sprintf("call %s got %.80q, another %.80q", c.ID, reply, *s.reply.Load()), At: -1})
	}
}

// operate is the operator. It marks the key when idem refuses to decide.
func (s *keyTest) operate(ctx context.Context) {
	rng := s.rng(callers + 1)
	for n := 0; ; n++ {
		var code int
		select {
		case <-ctx.Done():
			return
		case code = <-s.undecided:
		}
		mark, kind := "retry", lab.MarkRetry
		switch d := rng.IntN(20); {
		case d < 3:
			mark, kind = "done", lab.MarkDone
		case d < 5:
			mark, kind = "failed", lab.MarkFailed
		case d < 6 && code == lab.ExitInterrupted:
			s.left.Store(true)
			return
		}
		id := fmt.Sprintf("%s/op.%d", s.key, n)
		s.journal.Add(lab.Event{Kind: kind, Call: id})
		// Without ctx, because the journal must have the result of the mark.
		c := s.callIdem(context.Background(), id, s.key+".op", "mark", mark, s.key, "--note", "chaos")
		s.journal.Add(lab.Event{Kind: lab.Marked, Call: id, Code: c.Code})
		if c.Code != 0 && c.Code != lab.ExitBusy && c.Code != lab.ExitUsage {
			s.fail(lab.Fault{Promise: noOddity, Key: s.key, What: fmt.Sprintf("idem mark %s: status %d: %s", mark, c.Code, c.Stderr()), At: -1})
		}
	}
}
