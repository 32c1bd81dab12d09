package main

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
)

// filling is the part "full": callers on a small disk that somebody fills and
// empties, over and over.
type filling struct {
	*lab
	mu        sync.Mutex
	ends      map[int]int // calls by their exit status
	brims     int         // how often the disk was full
	truncated int         // replies that were marked so
	keys      int
}

func fullPart(l *lab) error {
	if err := l.mayMount(); err != nil {
		return err
	}
	trials := 300
	if l.quick {
		trials = 10
	}
	f := &filling{lab: l, ends: map[int]int{}}
	var all desk
	all.lab = l
	slots := make(chan struct{}, l.parallel)
	var group sync.WaitGroup
	for n := range trials {
		slots <- struct{}{}
		group.Go(func() {
			all.add(f.trial(n))
			<-slots
		})
	}
	group.Wait()
	l.figures.Count("trials", trials)
	l.figures.Count("keys", f.keys)
	l.figures.Count("times that the disk was full", f.brims)
	for _, code := range slices.Sorted(maps.Keys(f.ends)) {
		l.figures.Count(fmt.Sprint("calls that ended with ", code), f.ends[code])
	}
	l.figures.Count("incomplete replies, all marked", f.truncated)
	if err := all.verdict(os.Stdout, noLostOutcome, noSecondStart, noWrong69, noWrong125, noWrong79, noWrong0,
		noUnmarked, noCutLive, noOtherEnd, noBroken); err != nil {
		return err
	}
	if f.ends[exitLedger] == 0 || f.ends[exitUnrecorded] == 0 || f.truncated == 0 {
		return errors.New("the disk was never full at the right moment, so that nothing is proved")
	}
	return nil
}

// filled are the disks: their sizes in MiB.
var filled = []struct {
	make func(l *lab, dir string, size int) (*disk, error)
	size int
}{
	{(*lab).tmpfs, 1},
	{(*lab).tmpfs, 2},
	{(*lab).tmpfs, 4},
	{func(l *lab, dir string, size int) (*disk, error) { return l.ext4(dir, size, "-b", "4096") }, 8},
	{func(l *lab, dir string, size int) (*disk, error) { return l.ext4(dir, size, "-b", "1024") }, 8},
}

// trial is one disk with its filler and its callers.
func (f *filling) trial(n int) []fault {
	d, err := f.desk(fmt.Sprint("trial", n))
	must(err)
	kind := filled[n%len(filled)]
	disk, err := kind.make(f.lab, filepath.Join(d.dir, "disk"), kind.size)
	must(err)
	d.ledger = filepath.Join(disk.dir, "ledger")

	// The ledger may fill the disk itself. For a replay there must be room even so:
	// SQLite makes its shared memory, 32 KiB, anew when nobody else has it open.
	spare := filepath.Join(disk.dir, "spare")
	must(os.WriteFile(spare, make([]byte, 128<<10), 0o600))
	must(disk.settle())

	over := make(chan struct{})
	var filler, callers sync.WaitGroup
	brims := 0
	filler.Go(func() { brims = fill(rand.New(rand.NewPCG(f.seed, uint64(n)<<8)), disk.dir, over) })
	var clients []*client
	for w := range 4 {
		c := &client{filling: f, desk: d, rng: rand.New(rand.NewPCG(f.seed, uint64(n)<<8|uint64(w+1))), number: w}
		clients = append(clients, c)
		callers.Go(c.callWhileFilling)
	}
	callers.Wait()
	close(over)
	filler.Wait()
	must(os.Remove(spare))
	must(disk.settle())
	for _, recorded := range []bool{true, false} { // what runs again may take the room
		for _, c := range clients {
			c.callAgain(recorded)
		}
	}
	d.close()
	if len(d.faults) > 0 {
		// The disk is gone with us: keep what is on it.
		must(os.CopyFS(filepath.Join(d.dir, "ledger-left"), os.DirFS(d.ledger)))
	}
	must(disk.off())
	if len(d.faults) == 0 {
		must(os.RemoveAll(d.dir))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.brims += brims
	return d.faults
}

// fill fills the disk and gives some of it back, and again, until it is over.
// It returns how often it was full.
func fill(rng *rand.Rand, dir string, over <-chan struct{}) (brims int) {
	filler, err := os.Create(filepath.Join(dir, "filler"))
	must(err)
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
		for _, piece := range [][]byte{block, block[:512]} { // to the brim
			for err = nil; err == nil; {
				_, err = filler.Write(piece)
			}
		}
		brims++
		if !pause(60) {
			return brims
		}
		size, err := filler.Seek(0, io.SeekEnd)
		must(err)
		// Mostly a little, so that it is soon full again, even by the ledger.
		keep := size
		switch rng.IntN(3) {
		case 0:
			keep = 0
		case 1:
			keep -= min(size, int64(rng.IntN(400_000)))
		default:
			keep -= min(size, int64(rng.IntN(60_000)))
		}
		must(filler.Truncate(keep))
		_, err = filler.Seek(0, io.SeekEnd)
		must(err)
	}
	return brims
}

// client calls for its own keys, one call after the other.
type client struct {
	*filling
	*desk
	rng    *rand.Rand
	number int
	orders []*standing
}

// standing is what a client knows of a key.
type standing struct {
	order
	calls        int
	acknowledged bool
	unrecorded   bool // a call ended with 125
	unsure       bool // a call ended with 69 and said that the key may count as interrupted
}

func (c *client) callWhileFilling() {
	for k := range 4 {
		s := &standing{order: randomOrder(c.rng, fmt.Sprintf("w%d:%d", c.number, k))}
		c.orders = append(c.orders, s)
		for range 1 + c.rng.IntN(3) {
			c.once(s)
			time.Sleep(time.Duration(c.rng.IntN(20)) * time.Millisecond)
		}
	}
}

// callAgain calls once more, now that there is room, for the keys whose outcome
// was acknowledged or for the others.
func (c *client) callAgain(acknowledged bool) {
	keys := 0
	for _, s := range c.orders {
		was := *s
		if was.acknowledged != acknowledged {
			continue
		}
		keys++
		got := c.once(s)
		ok := s.ended(got.code)
		switch {
		case was.acknowledged:
		case was.unrecorded: // what an error left open may have been recorded all the same
			ok = ok || got.code == exitInterrupted
		default: // what is recorded may have taken all the room itself, and unsure may have come true
			ok = ok || got.code == exitLedger || got.code == exitUnrecorded || was.unsure && got.code == exitInterrupted
		}
		if !ok {
			c.complain(noLostOutcome, s.key, "with room again: status %d: %s", got.code, got.stderr())
		}
	}
	c.mu().Lock()
	defer c.mu().Unlock()
	c.keys += keys
}

func (c *client) mu() *sync.Mutex { return &c.filling.mu }

// ended reports whether a call that ended with code has told the outcome: a
// replay that lacks output has 74 in place of 0.
func (s *standing) ended(code int) bool {
	return code == s.code || code == exitOutput && s.code == 0
}

// once makes one call and holds its end against the promises.
func (c *client) once(s *standing) call {
	s.calls++
	got := c.run(s.order, s.calls, outcomesCount)
	did := c.doings(s.key)
	ran := did.starts[got.id]
	complain := func(promise string) {
		c.complain(promise, s.key, "call %d: status %d, the command started %d times, in all calls %d: %s", s.calls, got.code, ran, did.all(), got.stderr())
	}
	if did.all() > 1 {
		complain(noSecondStart)
	}
	switch code := got.code; {
	case s.ended(code):
		if ran == 0 && !s.acknowledged && !s.unrecorded {
			complain(noWrong0)
		}
		s.acknowledged = true
		c.reply(s, got, ran > 0)
	case code == exitLedger:
		if ran > 0 {
			complain(noWrong69)
		}
		s.unsure = s.unsure || strings.Contains(got.stderr(), "should the key count as interrupted")
	case code == exitUnrecorded:
		if ran != 1 {
			complain(noWrong125)
		}
		s.unrecorded = true
	case code == exitInterrupted:
		if ran > 0 || !s.unrecorded && !s.unsure {
			complain(noWrong79)
		}
	default:
		complain(noOtherEnd)
	}
	c.mu().Lock()
	defer c.mu().Unlock()
	c.ends[got.code]++
	return got
}

// reply looks at what the caller got to read.
func (c *client) reply(s *standing, got call, live bool) {
	whole := got.stdout() == string(outputOf(s.key, s.bytes))
	switch {
	case whole && got.code != exitOutput:
	case live:
		c.complain(noCutLive, s.key, "%d bytes, want %d", len(got.stdout()), s.bytes)
	case got.code == 0 || !c.saidTruncated(s.key, s.calls) || !strings.Contains(got.stderr(), "not complete"):
		c.complain(noUnmarked, s.key, "%d bytes, want %d: %s", len(got.stdout()), s.bytes, got.stderr())
	default:
		c.mu().Lock()
		defer c.mu().Unlock()
		c.truncated++
	}
}
