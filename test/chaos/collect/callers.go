package collect

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"idem/test/chaos/lab"
)

// job is a call that a caller repeats.
type job struct {
	key     string
	forgets forgets
	args    []string // of idem
	output  int      // bytes of stdout; -1: not compared
	dead    string   // of an interrupted key: what idem logs says about its first attempt
	code    int      // how its command ends this time
}

// effect is what a caller knows about the executions of one command, which is that of a key, a step or an item.
type effect struct {
	tokens []string
	fence  int
	done   time.Time // when the call began in which it succeeded; zero: it has not
	last   time.Time // when the call began in which it was started last
}

// caller makes calls one after the other. No other caller uses its keys.
type caller struct {
	*collectTest
	rng         *rand.Rand
	name        string
	journal     string
	read        int64 // bytes of the journal
	jobs        []*job
	known       map[string]*effect
	made        int // jobs
	effects     int
	interrupted int
}

func newCaller(r *collectTest, n int) *caller {
	name := fmt.Sprint("c", n)
	return &caller{
		collectTest: r, rng: rand.New(rand.NewPCG(r.Seed, uint64(n+1))), name: name,
		journal: filepath.Join(r.Dir, name+".journal"), known: map[string]*effect{},
	}
}

// The most jobs of a caller that idem gc does not forget. They are listed and checked again and again.
const mostKept = 60

// use makes calls until end is closed: for new keys, and for earlier ones.
func (c *caller) use(end chan struct{}) {
	for {
		select {
		case <-end:
			return
		case <-time.After(time.Duration(c.rng.IntN(1000)) * time.Millisecond): // idem gc has to get its turn
		}
		switch what := c.rng.IntN(100); {
		case what < 45 && len(c.jobs) > 0:
			c.call(c.jobs[c.rng.IntN(len(c.jobs))])
		case what < 47 && c.interrupted < 8:
			c.interrupt()
		default:
			j := c.newJob()
			if c.rng.IntN(8) == 0 {
				j.code = lab.ActFails
			}
			c.call(j)
			j.code = 0
			c.jobs = append(c.jobs, j)
		}
		c.forgetOld()
	}
}

// forgetOld leaves out old jobs that are forgotten anyway, so the work at the end stays small.
func (c *caller) forgetOld() {
	if len(c.jobs) < 4*mostKept {
		return
	}
	i := slices.IndexFunc(c.jobs, func(j *job) bool { return j.forgets != never && j.dead == "" })
	c.jobs = slices.Delete(c.jobs, i, i+1)
}

func (c *caller) kept() (n int) {
	for _, j := range c.jobs {
		if j.forgets == never {
			n++
		}
	}
	return n
}

// command returns the arguments of a command with an output of this size.
func (c *caller) command(size int) []string {
	return []string{c.Self, "collect-command", c.journal, strconv.Itoa(size)}
}

// stepsScript runs two steps and looks at the value of the first one. Only the second one fails.
const stepsScript = `idem=$0
value=$(` + envCode + `= "$idem" step one -- "$@") || exit 90
[ ${#value} -gt 40 ] || exit 91
"$idem" step two -- "$@" >/dev/null`

// newJob returns a job for a new key.
func (c *caller) newJob() *job {
	c.made++
	name := fmt.Sprintf("%s:%d", c.name, c.made)
	j := &job{key: dropPrefix + name, forgets: byKeys}
	shape := c.rng.IntN(12)
	switch {
	case shape < 2:
		j.key, j.forgets = "window:"+name, byWindows
	case c.rng.IntN(4) == 0 && c.kept() < mostKept:
		j.key, j.forgets = "keep:"+name, never
	}
	switch j.output = 100 + c.rng.IntN(2000); c.rng.IntN(8) {
	case 0:
		j.output = 0
	case 1, 2:
		j.output = 33_000 + c.rng.IntN(60_000) // in a file
	}
	switch shape {
	case 0, 1:
		j.args = append([]string{"run", "--key", j.key, "--per", "hour", "--"}, c.command(j.output)...)
	case 2:
		j.args = append([]string{"run", "--key", j.key, "--", "sh", "-c", stepsScript, c.Idem}, c.command(100+j.output)...)
		j.output = -1
	case 3:
		list := filepath.Join(c.Dir, c.name+".list")
		lab.Must(os.WriteFile(list, []byte("one\ntwo\nthree\nfour\nfive\nsix\n"), 0o600))
		j.args = append(append([]string{"each", "--key", j.key, "-j", "2", "--arg-file", list, "--"}, c.command(j.output)...), "{}")
		j.output = -1
	default:
		j.args = append([]string{"run", "--key", j.key, "--"}, c.command(j.output)...)
	}
	return j
}

// call makes a call for a job and checks it.
func (c *caller) call(j *job) {
	began := time.Now()
	code := fmt.Sprintf("%s=%d", envCode, j.code)
	got := c.Call(c.name, 0, j.args, code)
	// While idem gc forgets a key, it holds the key, and another call is refused.
	for got.Code == lab.ExitBusy && c.mayForget(j.forgets, began, time.Now()) {
		got = c.Call(c.name, 0, j.args, code)
	}
	started := c.check(j, began)
	stdout, stderr := got.Stdout(), got.Stderr()
	if j.dead != "" {
		if got.Code != lab.ExitInterrupted || started > 0 {
			c.Fail(noHurt, j.key, "interrupted: status %d, %d starts: %s", got.Code, started, stderr)
		}
		if now := c.firstOutput(j.key); now != j.dead {
			c.Fail(noHurt, j.key, "interrupted: the output of its first attempt was %.100q, now it is %.100q", j.dead, now)
		}
		return
	}
	want := 0
	if started > 0 {
		want = j.code
	}
	if got.Code != want && (j.args[0] != "each" || j.code == 0) {
		c.Fail(noOddity, j.key, "status %d, want %d, %d starts: %s", got.Code, want, started, stderr)
	}
	switch whole := string(lab.CommandOutput(j.key, max(j.output, 0))); {
	case j.output < 0 || stdout == whole:
	case started == 0 && stdout == "" && strings.Contains(stderr, "was removed"):
	default:
		c.Fail(noLostReply, j.key, "%d bytes, want %d, %d starts: %s", len(stdout), len(whole), started, stderr)
	}
}

// check compares the starts since the last call with what is known, and returns their number.
func (c *caller) check(j *job, began time.Time) (started int) {
	for _, e := range c.events() {
		known := c.known[e.Call]
		if known == nil {
			known = &effect{}
			c.known[e.Call] = known
		}
		if e.Kind == lab.Ended {
			if e.Code == 0 {
				known.done = began
			}
			continue
		}
		started++
		c.effects++
		forgotten := c.mayForget(j.forgets, known.last, time.Now())
		again := !known.done.IsZero()
		if again && !c.mayForget(j.forgets, known.done, time.Now()) {
			c.Fail(noSecond, e.Call, "started again after its success, with the tokens %v", append(known.tokens, e.Run))
		}
		same := len(known.tokens) > 0 && known.tokens[len(known.tokens)-1] == e.Run
		switch {
		case e.Code <= known.fence:
			c.Fail(noOldToken, e.Call, "fence %d after %d", e.Code, known.fence)
		case same && again:
			c.Fail(noOldToken, e.Call, "token %s again after the success", e.Run)
		case !same && slices.Contains(known.tokens, e.Run):
			c.Fail(noOldToken, e.Call, "token %s has come back after %v", e.Run, known.tokens)
		case !same && len(known.tokens) > 0 && !forgotten:
			c.Fail(noOldToken, e.Call, "token %s is new after %v, although nothing was forgotten", e.Run, known.tokens)
		}
		if !same {
			known.tokens = append(known.tokens, e.Run)
		}
		known.fence, known.last, known.done = e.Code, began, time.Time{}
	}
	return started
}

// events returns what the commands have logged since the last call.
func (c *caller) events() []lab.Event {
	f, err := os.Open(c.journal)
	if os.IsNotExist(err) {
		return nil
	}
	lab.Must(err)
	defer f.Close()
	_, err = f.Seek(c.read, io.SeekStart)
	lab.Must(err)
	b, err := io.ReadAll(f)
	lab.Must(err)
	end := bytes.LastIndexByte(b, ';') + 1 // a line that is cut off is read again
	c.read += int64(end)
	events, err := lab.ParseJournal(b[:end])
	lab.Must(err)
	return events
}

// interrupt runs a key, runs it again by force, and kills idem and the command.
func (c *caller) interrupt() {
	j := &job{key: fmt.Sprintf("%s%s:dead%d", dropPrefix, c.name, c.interrupted), forgets: byKeys, output: 50_000}
	j.args = append([]string{"run", "--key", j.key, "--"}, c.command(j.output)...)
	c.call(j)
	hold := filepath.Join(c.Dir, c.name+".hold")
	lab.Must(os.WriteFile(hold, nil, 0o600))
	cmd := exec.Command(c.Idem, slices.Concat([]string{"run", "--force"}, j.args[1:])...)
	cmd.Env = append(c.Environ(c.Ledger, c.name), envHold+"="+hold)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	lab.Must(cmd.Start())
	began, size := time.Now(), c.read
	for end := time.Now().Add(lab.Patience); size == c.read; time.Sleep(5 * time.Millisecond) {
		if info, err := os.Stat(c.journal); err == nil {
			size = info.Size()
		}
		if time.Now().After(end) {
			c.Fail(noOddity, j.key, "the forced run does not start")
			return
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait() // its end is known
	for end := time.Now().Add(lab.ExitWithin); syscall.Kill(-cmd.Process.Pid, 0) == nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond) // the command is not a child of this process
	}
	c.known[j.key+"@"].done = time.Time{} // --force asks for a second effect
	c.check(j, began)
	j.dead = c.firstOutput(j.key)
	c.interrupted++
	c.jobs = append(c.jobs, j)
	c.call(j)
}

// firstOutput describes the recorded output of the first attempt of a key, which idem gc may have removed
// before the second one began.
func (c *caller) firstOutput(key string) string {
	l := c.Call(c.name, 1, []string{"logs", "--attempt", "1", key})
	return fmt.Sprintf("status %d, %s%s", l.Code, l.Stdout(), l.Stderr())
}
