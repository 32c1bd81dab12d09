package resume

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
)

// commandFails is an exit status of Command.
const commandFails = 3

// someFail is a value of FAILS.
const someFail = "10"

// Command is an item or a step: resume-command DIR TIME FAILS [ITEM]. It logs its start,
// its effect in the middle of TIME, and its end, and prints its run ID. With FAILS, the
// first attempt of one in FAILS keys fails before the effect.
func Command(args []string) int {
	if len(args) < 3 {
		return lab.Fail(errors.New("want DIR TIME FAILS"))
	}
	j, err := lab.OpenJournal(journalOf(args[0]))
	takes, err2 := time.ParseDuration(args[1])
	fails, err3 := strconv.ParseUint(args[2], 10, 32)
	if err := errors.Join(err, err2, err3); err != nil {
		return lab.Fail(err)
	}
	key, run := os.Getenv("IDEM_KEY"), os.Getenv("IDEM_RUN_ID")
	say := func(kind lab.Kind, code int) { j.Add(lab.Event{Kind: kind, Call: key, Run: run, Code: code}) }
	say(lab.Started, 0)
	hash := fnv.New32a()
	_, _ = io.WriteString(hash, key)
	if _, err := lab.TakeLock(filepath.Join(args[0], "locks", fmt.Sprintf("%x", hash.Sum32())), unix.LOCK_EX); err != nil {
		say(lab.Overlap, 0)
		return commandFails
	}
	time.Sleep(takes / 2)
	if fails > 0 && hash.Sum32()%uint32(fails) == 0 && os.Getenv("IDEM_ATTEMPT") == "1" {
		say(lab.Ended, commandFails)
		return commandFails
	}
	say(lab.Worked, 0)
	fmt.Println(run)
	time.Sleep(takes / 2)
	say(lab.Ended, 0)
	return 0
}

// Script is the command of idem run in step-kill: resume-script IDEM SELF DIR STEPS. It
// calls idem step for each step, as a shell script would, and logs the value of each. It
// ends with the status of the first step that fails.
func Script(args []string) int {
	if len(args) != 4 {
		return lab.Fail(errors.New("want IDEM SELF DIR STEPS"))
	}
	j, err := lab.OpenJournal(journalOf(args[2]))
	if err != nil {
		return lab.Fail(err)
	}
	for step := range strings.SplitSeq(args[3], ",") {
		c := exec.Command(args[0], "step", step, "--", args[1], "resume-command", args[2], stepTakes, someFail)
		c.Stderr = os.Stderr
		value, err := c.Output()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() >= 0:
			return exit.ExitCode()
		case errors.As(err, &exit): // idem step was killed
			return 128 + lab.SigKill
		case err != nil:
			return lab.Fail(err)
		}
		j.Add(lab.Event{Kind: lab.Returned, Call: os.Getenv("IDEM_KEY") + "/" + step, Run: strings.TrimSpace(string(value))})
	}
	return 0
}

func (r *round) command(id string, args ...string) *exec.Cmd {
	cmd := exec.Command(r.Idem, args...)
	cmd.Env = r.Environ(r.ledger, id)
	// A call has its own group, so a kill of the group of a command does not reach it.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	return cmd
}

var start = (*exec.Cmd).Start
