// Package triggers is the part "triggers" of chaos. Callers with --wait=fresh, --wait and
// --wait=fresh:DURATION call a few keys at random times, and some are killed.
//
//	go run ./test/chaos triggers
//
// All processes of a key log their actions in one journal, outside of the ledger. The
// order of its lines is the only clock. In the end check tests each promise on the
// journal. With --wait=fresh, no answer may be older than its question.
package triggers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"idem/test/chaos/lab"
)

// callers is the number of callers of each key.
const callers = 12

// waits is the event of a call that has printed that it waits, so it has read the record.
const waits lab.Kind = "waits"

// triggerTest is one run of the part.
type triggerTest struct {
	*lab.Lab
	ledger string
	kills  atomic.Int64

	mu     sync.Mutex
	faults []lab.Fault
}

// Run runs the part.
func Run(l *lab.Lab) error {
	r := &triggerTest{Lab: l, ledger: filepath.Join(l.Dir, "ledger")}
	for _, name := range []string{"keys", "calls"} {
		if err := os.Mkdir(filepath.Join(l.Dir, name), 0o700); err != nil {
			return err
		}
	}
	keys, calls := 16, 26 // 4,992 calls
	if l.Quick {
		keys, calls = 4, 8
	}
	begin := time.Now()
	var group sync.WaitGroup
	slots := make(chan struct{}, l.Parallel)
	for k := range keys {
		s, err := r.newKey(k, calls)
		if err != nil {
			return err
		}
		group.Go(func() {
			slots <- struct{}{}
			s.run()
			<-slots
		})
	}
	group.Wait()
	return r.report(os.Stdout, keys, time.Since(begin))
}

func (r *triggerTest) fail(f lab.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}

func keyName(k int) string { return fmt.Sprintf("trigger:%02d", k) }

func (r *triggerTest) journalPath(key string) string {
	return filepath.Join(r.Dir, "keys", key+".journal")
}

// triggerKey is the test of one key.
type triggerKey struct {
	*triggerTest
	key     string
	number  uint64
	calls   int // of each caller
	journal *lab.Journal
}

func (r *triggerTest) newKey(k, calls int) (*triggerKey, error) {
	s := &triggerKey{triggerTest: r, key: keyName(k), number: uint64(k), calls: calls}
	var err error
	s.journal, err = lab.OpenJournal(r.journalPath(s.key))
	return s, err
}

// run makes all calls of the key.
func (s *triggerKey) run() {
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(s.Seed, s.number<<16|uint64(n)))
			for i := range s.calls {
				time.Sleep(time.Duration(rng.IntN(120)) * time.Millisecond)
				s.call(rng, fmt.Sprintf("%s/%d.%d", s.key, n, i), filepath.Join(s.Dir, "calls", fmt.Sprintf("%s.%d", s.key, n)))
			}
		})
	}
	group.Wait()
	_ = s.journal.F.Close()
}

// call makes one call of idem. The name of the call ends with the way in which it waits.
func (s *triggerKey) call(rng *rand.Rand, id, out string) {
	wait := []string{fresh, fresh, fresh, fresh, "--wait", fresh + ":60ms"}[rng.IntN(6)]
	id += wait
	cmd := exec.Command(s.Idem, "run", "--key", s.key, wait, "--on-interrupted", "rerun", "--",
		s.Self, "trigger-command", s.journalPath(s.key), s.journalPath(s.key)+".lock")
	cmd.Env = s.Environ(s.ledger, id)
	stdout, err := os.Create(out)
	lab.Must(err)
	defer stdout.Close()
	cmd.Stdout = stdout
	stderr, writer, err := os.Pipe()
	lab.Must(err)
	cmd.Stderr = writer
	s.journal.Add(lab.Event{Kind: lab.Called, Call: id})
	lab.Must(cmd.Start())
	_ = writer.Close()
	said := make(chan string, 1)
	go func() { said <- s.listen(id, stderr) }()
	patience := time.AfterFunc(lab.Patience, func() {
		s.fail(lab.Fault{Promise: noEnd, Key: s.key, What: id, At: -1})
		_ = cmd.Process.Kill()
	})
	if rng.IntN(8) == 0 {
		time.Sleep(time.Duration(rng.IntN(80)) * time.Millisecond)
		s.journal.Add(lab.Event{Kind: lab.KillIdem, Call: id})
		if cmd.Process.Kill() == nil {
			s.kills.Add(1)
		}
	}
	_ = cmd.Wait() // the process state has the details
	patience.Stop()
	code := lab.Status(cmd.ProcessState)
	run := ""
	if code == 0 {
		run = strings.TrimSuffix(lab.Read(out), "\n")
	}
	s.journal.Add(lab.Event{Kind: lab.Returned, Call: id, Run: run, Code: code})
	if allowed := []int{0, commandFails, lab.ExitBusy, -lab.SigKill}; !slices.Contains(allowed, code) {
		_ = stderr.SetReadDeadline(time.Now().Add(time.Second)) // processes that outlive idem may hold it open
		s.fail(lab.Fault{Promise: noOddity, Key: s.key, What: fmt.Sprintf("%s: status %d: %s", id, code, <-said), At: -1})
	}
}

// listen logs the first note about waiting, and returns all that a call says on stderr.
func (s *triggerKey) listen(id string, stderr *os.File) string {
	defer stderr.Close()
	var all strings.Builder
	lines := bufio.NewScanner(stderr)
	logged := false
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if !logged && strings.HasPrefix(lines.Text(), "idem: note: waiting for key ") {
			logged = true
			s.journal.Add(lab.Event{Kind: waits, Call: id})
		}
	}
	return all.String()
}

// report checks the journals and the ledger, prints the figures, and returns the broken
// promises as an error.
func (r *triggerTest) report(w io.Writer, keys int, took time.Duration) error {
	var sum counts
	journals := map[string][]lab.Event{}
	for k := range keys {
		key := keyName(k)
		events, err := lab.ReadJournal(r.journalPath(key))
		if err != nil {
			return err
		}
		journals[key] = events
		c, faults := check(key, events)
		sum.add(c)
		r.faults = append(r.faults, faults...)
	}
	if _, err := r.Integrity(r.ledger); err != nil {
		return err
	}
	broken := map[string]int{}
	for _, f := range r.faults {
		broken[f.Promise]++
	}
	t := &r.Figures
	t.Count("keys", keys)
	t.Count("calls", sum.calls)
	t.Count("kills of idem", int(r.kills.Load()))
	t.Count("runs", sum.runs)
	t.Count("calls that replayed a run that began after them", sum.shared)
	t.Add("seconds", "%.1f", took.Seconds())
	for _, p := range promises {
		t.Count(p, broken[p])
	}
	t.Print(w)
	if len(r.faults) == 0 {
		if sum.shared == 0 {
			return errors.New("no call replayed a run that began after it, so nothing is proved")
		}
		return nil
	}
	f := r.faults[0]
	fmt.Fprintf(w, "\n%s: key %q, %s\n", f.Promise, f.Key, f.What)
	const lines = 40
	for i := max(0, f.At-lines); i <= f.At; i++ {
		fmt.Fprintf(w, "  %4d %s\n", i, journals[f.Key][i])
	}
	return fmt.Errorf("%d promises broken, the first: %s", len(r.faults), f.Promise)
}
