// Package full is the part "full" of chaos. Callers work on small file systems that
// another goroutine fills and empties at random times.
//
//	sudo go run ./test/chaos full
//
// The figures count the calls by exit status, and how often a status or a reply was
// wrong, which must be 0.
package full

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"idem/test/chaos/lab"
)

const (
	noLostOutcome = "acknowledged outcomes lost on a full disk"
	noSecondStart = "commands started a second time"
	noWrong69     = "status 69 although the command had started"
	noWrong125    = "status 125 although the command had not started"
	noWrong79     = "status 79 although nothing was unrecorded"
	noWrong0      = "outcomes of a command that had not started"
	noUnmarked    = "incomplete replies that are not marked"
	noCutLive     = "live outputs that are not complete"
	noOtherEnd    = "calls with another status"

	noFalseReceipt = "receipts that are not what the ledger says"
)

// fullTest adds up the results of all trials.
type fullTest struct {
	*lab.Lab
	mu        sync.Mutex
	ends      map[int]int // calls by their exit status
	timesFull int         // how often a disk was full
	truncated int         // replies marked as truncated
	keys      int
	batches   map[int]int // calls of idem each by their exit status
	receipts  int         // receipts in use after the disk was full
	items     int         // items that were reported as done
}

func Run(l *lab.Lab) error {
	if err := l.CanMount(); err != nil {
		return err
	}
	trials := 300
	if l.Quick {
		trials = 10
	}
	f := &fullTest{Lab: l, ends: map[int]int{}, batches: map[int]int{}}
	var all lab.Harness
	all.Lab = l
	slots := make(chan struct{}, l.Parallel)
	var group sync.WaitGroup
	for n := range trials {
		slots <- struct{}{}
		group.Go(func() {
			all.Add(f.trial(n))
			<-slots
		})
	}
	group.Wait()
	l.Figures.Count("trials", trials)
	l.Figures.Count("keys", f.keys)
	l.Figures.Count("times that the disk was full", f.timesFull)
	for _, code := range slices.Sorted(maps.Keys(f.ends)) {
		l.Figures.Count(fmt.Sprint("calls that ended with ", code), f.ends[code])
	}
	l.Figures.Count("items reported as done", f.items)
	for _, code := range slices.Sorted(maps.Keys(f.batches)) {
		l.Figures.Count(fmt.Sprint("batches that ended with ", code), f.batches[code])
	}
	l.Figures.Count("incomplete replies, all marked", f.truncated)
	l.Figures.Count("receipts in use after the disk was full", f.receipts)
	if err := all.Report(os.Stdout, noLostOutcome, noSecondStart, noWrong69, noWrong125, noWrong79, noWrong0,
		noUnmarked, noCutLive, noOtherEnd, noFalseReceipt, lab.NoBroken); err != nil {
		return err
	}
	if f.ends[lab.ExitLedger] == 0 || f.ends[lab.ExitUnrecorded] == 0 || f.truncated == 0 {
		return errors.New("the disk was never full at the right moment, so the test proves nothing")
	}
	return nil
}

// disks are the kinds of disks, with their sizes in MiB.
var disks = []struct {
	make func(l *lab.Lab, dir string, size int) (*lab.Disk, error)
	size int
}{
	{(*lab.Lab).Tmpfs, 1},
	{(*lab.Lab).Tmpfs, 2},
	{(*lab.Lab).Tmpfs, 4},
	{func(l *lab.Lab, dir string, size int) (*lab.Disk, error) { return l.Ext4(dir, size, "-b", "4096") }, 8},
	{func(l *lab.Lab, dir string, size int) (*lab.Disk, error) { return l.Ext4(dir, size, "-b", "1024") }, 8},
}

// trial is one disk with its filler and its callers. It returns the faults.
func (f *fullTest) trial(n int) []lab.Fault {
	d, err := f.NewHarness(fmt.Sprint("trial", n))
	lab.Must(err)
	kind := disks[n%len(disks)]
	disk, err := kind.make(f.Lab, filepath.Join(d.Dir, "disk"), kind.size)
	lab.Must(err)
	d.Ledger = filepath.Join(disk.Dir, "ledger")

	// The ledger itself may fill the disk. A replay still needs room: the first process
	// to open the ledger makes SQLite create 32 KiB of shared memory.
	spare := filepath.Join(disk.Dir, "spare")
	lab.Must(os.WriteFile(spare, make([]byte, 128<<10), 0o600))
	lab.Must(disk.Sync())

	over := make(chan struct{})
	var filler, callers sync.WaitGroup
	timesFull := 0
	filler.Go(func() { timesFull = fill(rand.New(rand.NewPCG(f.Seed, uint64(n)<<8)), disk.Dir, over) })
	var clients []*client
	for w := range 4 {
		c := &client{fullTest: f, Harness: d, rng: rand.New(rand.NewPCG(f.Seed, uint64(n)<<8|uint64(w+1))), number: w}
		clients = append(clients, c)
		callers.Go(c.callWhileFilling)
	}
	batch, err := f.newBatch(d)
	lab.Must(err)
	callers.Go(batch.callWhileFilling)
	rng := rand.New(rand.NewPCG(f.Seed, uint64(n)<<8|99))
	keys, changes := lab.SharedSlot("changes:", 3), 0
	callers.Go(func() {
		d.ChangeReceipts(rng, keys, func() bool { changes++; return changes <= 8 })
	})
	callers.Wait()
	close(over)
	filler.Wait()
	lab.Must(os.Remove(spare))
	lab.Must(disk.Sync())
	f.checkReceipts(d)
	for _, recorded := range []bool{true, false} { // commands that run again may use up the room
		for _, c := range clients {
			c.callAgain(recorded)
		}
		if recorded {
			batch.callAgain()
		}
	}
	d.Close()
	if len(d.Faults) > 0 {
		// The disk ends with this process: keep its content.
		lab.Must(os.CopyFS(filepath.Join(d.Dir, "ledger-left"), os.DirFS(d.Ledger)))
	}
	lab.Must(disk.Unmount())
	if len(d.Faults) == 0 {
		lab.Must(os.RemoveAll(d.Dir))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timesFull += timesFull
	return d.Faults
}

// checkReceipts compares the receipts with the records after the disk was full.
func (f *fullTest) checkReceipts(d *lab.Harness) {
	n, wrong := d.CheckReceipts()
	if wrong != "" {
		d.Fail(noFalseReceipt, d.Ledger, "%s", wrong)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receipts += n
}

// fill fills the disk and frees some of it, repeatedly, until over is closed. It returns
// how often the disk was full.
func fill(rng *rand.Rand, dir string, over <-chan struct{}) (timesFull int) {
	filler, err := os.Create(filepath.Join(dir, "filler"))
	lab.Must(err)
	defer os.Remove(filler.Name())
	defer filler.Close()
	pause := func(most int) bool {
		select {
		case <-over:
			return false
		case <-time.After(time.Duration(rng.IntN(most)) * time.Millisecond):
			return true
		}
	}
	block := make([]byte, 16<<10)
	for pause(40) {
		for _, piece := range [][]byte{block, block[:512]} { // until nothing fits
			for err = nil; err == nil; {
				_, err = filler.Write(piece)
			}
		}
		timesFull++
		if !pause(60) {
			return timesFull
		}
		size, err := filler.Seek(0, io.SeekEnd)
		lab.Must(err)
		// Usually a little, so that the ledger itself soon fills it again.
		keep := size
		switch rng.IntN(3) {
		case 0:
			keep = 0
		case 1:
			keep -= min(size, int64(rng.IntN(400_000)))
		default:
			keep -= min(size, int64(rng.IntN(60_000)))
		}
		lab.Must(filler.Truncate(keep))
		_, err = filler.Seek(0, io.SeekEnd)
		lab.Must(err)
	}
	return timesFull
}

// client makes calls one after the other. No other client uses its keys.
type client struct {
	*fullTest
	*lab.Harness
	rng    *rand.Rand
	number int
	keys   []*keyState
}

// keyState is the knowledge of a client about a key.
type keyState struct {
	lab.Job
	calls        int
	acknowledged bool
	unrecorded   bool // a call ended with 125
	unsure       bool // a call ended with 69 and a message that the key may count as interrupted
}

func (c *client) callWhileFilling() {
	for k := range 4 {
		s := &keyState{Job: lab.RandomJob(c.rng, fmt.Sprintf("w%d:%d", c.number, k))}
		c.keys = append(c.keys, s)
		for range 1 + c.rng.IntN(3) {
			c.callOnce(s)
			time.Sleep(time.Duration(c.rng.IntN(20)) * time.Millisecond)
		}
	}
}

// callAgain makes one more call for each key, now that there is room. It takes the keys
// with an acknowledged outcome, or those without one.
func (c *client) callAgain(acknowledged bool) {
	keys := 0
	for _, s := range c.keys {
		was := *s
		if was.acknowledged != acknowledged {
			continue
		}
		keys++
		got := c.callOnce(s)
		ok := s.toldOutcome(got.Code)
		switch {
		case was.acknowledged:
		case was.unrecorded: // the record may be there in spite of the error
			ok = ok || got.Code == lab.ExitInterrupted
		default: // the records may have used up the room, and unsure may be true
			ok = ok || got.Code == lab.ExitLedger || got.Code == lab.ExitUnrecorded || was.unsure && got.Code == lab.ExitInterrupted
		}
		if !ok {
			c.Fail(noLostOutcome, s.Key, "with room again: status %d: %s", got.Code, got.Stderr())
		}
	}
	c.mu().Lock()
	defer c.mu().Unlock()
	c.fullTest.keys += keys
}

func (c *client) mu() *sync.Mutex { return &c.fullTest.mu }

// toldOutcome reports whether a call with this status acknowledged the outcome. A
// replay that lacks output has 74 instead of 0.
func (s *keyState) toldOutcome(code int) bool {
	return code == s.Code || code == lab.ExitOutput && s.Code == 0
}

// callOnce makes one call and checks the promises.
func (c *client) callOnce(s *keyState) lab.Call {
	s.calls++
	got := c.Run(s.Job, s.calls, lab.ReplayFailures)
	did := c.Runs(s.Key)
	ran := did.Starts[got.ID]
	complain := func(promise string) {
		c.Fail(promise, s.Key, "call %d: status %d, the command started %d times, in all calls %d: %s", s.calls, got.Code, ran, did.Total(), got.Stderr())
	}
	if did.Total() > 1 {
		complain(noSecondStart)
	}
	switch code := got.Code; {
	case s.toldOutcome(code):
		if ran == 0 && !s.acknowledged && !s.unrecorded {
			complain(noWrong0)
		}
		s.acknowledged = true
		c.checkReply(s, got, ran > 0)
	case code == lab.ExitLedger:
		if ran > 0 {
			complain(noWrong69)
		}
		s.unsure = s.unsure || strings.Contains(got.Stderr(), "may now count as interrupted")
	case code == lab.ExitUnrecorded:
		if ran != 1 {
			complain(noWrong125)
		}
		s.unrecorded = true
	case code == lab.ExitInterrupted:
		if ran > 0 || !s.unrecorded && !s.unsure {
			complain(noWrong79)
		}
	default:
		complain(noOtherEnd)
	}
	c.mu().Lock()
	defer c.mu().Unlock()
	c.ends[got.Code]++
	return got
}

// checkReply checks the output that the caller got.
func (c *client) checkReply(s *keyState, got lab.Call, live bool) {
	whole := got.Stdout() == string(lab.CommandOutput(s.Key, s.Output))
	switch {
	case whole && got.Code != lab.ExitOutput:
	case live:
		c.Fail(noCutLive, s.Key, "%d bytes, want %d", len(got.Stdout()), s.Output)
	case got.Code == 0 || !c.ReportsTruncated(s.Key, s.calls) || !strings.Contains(got.Stderr(), "not complete"):
		c.Fail(noUnmarked, s.Key, "%d bytes, want %d: %s", len(got.Stdout()), s.Output, got.Stderr())
	default:
		c.mu().Lock()
		defer c.mu().Unlock()
		c.truncated++
	}
}
