// Package copies is the part "copies" of chaos. It kills idem ledger backup at random times
// while callers use the ledger, and checks each copy.
//
//	go run ./test/chaos copies
//
// The callers list each success that idem has acknowledged. A copy is absent, or it is whole and
// has each success that was listed before its backup began.
package copies

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"idem/test/chaos/lab"
)

// callers is the number of callers that use the ledger.
const callers = 20

// The promises, as the figures name them.
const (
	noLoss   = "acknowledged successes that a copy lacks"
	noDamage = "copies that are not whole"
	noOddity = "unexpected ends of a call"
)

// copyTest is one run of the part.
type copyTest struct {
	*lab.Harness
	mu    sync.Mutex
	done  []string // the keys of acknowledged successes
	calls int      // of idem ledger
}

// Run runs the part.
func Run(l *lab.Lab) error {
	d, err := l.NewHarness("copies")
	if err != nil {
		return err
	}
	kills := 200
	if l.Quick {
		kills = 12
	}
	r := &copyTest{Harness: d}
	var group sync.WaitGroup
	end := make(chan struct{})
	for n := range callers {
		group.Go(func() { r.use(n, end) })
	}
	rng := rand.New(rand.NewPCG(l.Seed, 0))
	for patience := time.Now().Add(lab.Patience); r.acknowledged() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(patience) { // without a success, there may be no ledger
			return errors.New("no call has succeeded")
		}
	}
	whole, killed, longest := 0, 0, lab.Patience // the first backup is not killed
	for killed < kills {
		began, after := time.Now(), longest
		if whole > 0 {
			after = time.Duration(rng.Int64N(int64(longest)))
		}
		done, isKilled := r.backup(after)
		if isKilled {
			killed++
			longest += longest / 32 // the ledger grows
			lab.Progress(killed, kills)
		} else {
			longest = time.Since(began) * 5 / 4
		}
		if r.check(done, !isKilled) {
			whole++
		}
	}
	close(end)
	group.Wait()
	r.Close()
	l.Figures.Count("callers", callers)
	l.Figures.Count("acknowledged successes", len(r.done))
	l.Figures.Count("kills", killed)
	l.Figures.Count("whole copies", whole)
	return d.Report(os.Stdout, noLoss, noDamage, noOddity, lab.NoBroken)
}

func (r *copyTest) acknowledged() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.done)
}

// use calls idem with one new key after the other.
func (r *copyTest) use(caller int, end chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-end:
			return
		case <-time.After(200 * time.Millisecond): // else the ledger grows faster than it is copied
		}
		key := fmt.Sprintf("c%d:%d", caller, n)
		command := []string{"true"}
		if n%8 == 0 { // with an output in a file
			command = []string{"seq", "20000"}
		}
		c := r.Call(key, 1, append([]string{"run", "--key", key, "--"}, command...))
		if c.Code != 0 {
			r.Fail(noOddity, key, "status %d: %s", c.Code, c.Stderr())
			continue
		}
		r.mu.Lock()
		r.done = append(r.done, key)
		r.mu.Unlock()
	}
}

func (r *copyTest) target() string { return filepath.Join(r.Dir, "copy") }

// backup makes a copy and kills it after a time. It returns the successes that were listed
// before it began, and whether the kill came before its end.
func (r *copyTest) backup(after time.Duration) (done []string, killed bool) {
	r.mu.Lock()
	done = slices.Clip(r.done)
	r.mu.Unlock()
	r.calls++
	cmd := exec.Command(r.Idem, "ledger", "backup", r.target())
	cmd.Env = r.Environ(r.Ledger, fmt.Sprint("backup/", r.calls))
	out, err := os.Create(filepath.Join(r.Dir, "calls", fmt.Sprint("backup.", r.calls)))
	lab.Must(err)
	defer out.Close()
	cmd.Stderr = out
	lab.Must(cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	timer.Stop()
	code := lab.Status(cmd.ProcessState)
	if code != 0 && code != -lab.SigKill {
		r.Fail(noOddity, "backup", "status %d, %v: %s", code, err, lab.Read(out.Name()))
	}
	return done, code == -lab.SigKill
}

// check checks the copy, removes it, and reports whether there was one.
func (r *copyTest) check(done []string, must bool) bool {
	path := r.target()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if must {
			r.Fail(noDamage, "copy", "the backup has ended, and there is none")
		}
		// A part without its mark lacks only its name. It is never removed by idem.
		part := path + ".part"
		if _, err := os.Stat(part); err != nil {
			return false
		}
		if _, err := os.Stat(filepath.Join(part, "PART")); err == nil || empty(part) {
			return false
		}
		lab.Must(os.Rename(part, path))
	}
	r.calls++
	key := fmt.Sprint("copy.", r.calls)
	if c := r.Call(key, 1, []string{"ledger", "check", path}); c.Code != 0 {
		r.Fail(noDamage, key, "status %d: %s%s", c.Code, c.Stdout(), c.Stderr())
	}
	c := r.Call(key, 2, []string{"--ledger", path, "list", "--state", "succeeded"})
	if c.Code != 0 {
		r.Fail(noDamage, key, "idem list: status %d: %s", c.Code, c.Stderr())
	}
	has := map[string]bool{}
	for line := range strings.Lines(c.Stdout()) {
		key, _, _ := strings.Cut(line, "\t")
		has[key] = true
	}
	for _, key := range done {
		if !has[key] {
			r.Fail(noLoss, key, "the copy lacks it")
		}
	}
	lab.Must(os.RemoveAll(path))
	return true
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}
