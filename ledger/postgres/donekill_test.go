package postgres

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger"
)

// TestKillsAroundDone kills calls and the connections of their commands at random moments. The
// policy of each call is to run an interrupted key again, so only done keeps it from having two
// effects.
func TestKillsAroundDone(t *testing.T) {
	testkit.Slow(t, "a hundred killed calls")
	k := newDoneKit(t)
	const kills = 100
	var killed, keys atomic.Int64
	var late atomic.Int64 // kills after which the key had succeeded
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for killed.Load() < kills {
				id := idOf(fmt.Sprintf("k%d", keys.Add(1)))
				for i := 0; ; i++ {
					if over := k.callAndKill(id, fmt.Sprintf("host%d-%d", w, i%2), i < 4 && killed.Load() < kills, &killed, &late); over {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if got, want := k.effects(), fmt.Sprint(keys.Load()); got != want {
		t.Errorf("got %s effects of %s keys", got, want)
	}
	if got := k.server.Query(t, "select count(*) from (select key from "+k.schema+".effect group by key having count(*) > 1) x"); got != "0" {
		t.Errorf("%s keys have several effects", got)
	}
	if got := k.server.Query(t, "select count(*) from "+k.schema+".record where state <> 'succeeded'"); got != "0" {
		t.Errorf("%s keys have not succeeded", got)
	}
	t.Logf("%d keys, %d kills, of which %d came after the success", keys.Load(), killed.Load(), late.Load())
}

var hostsOfKills sync.Mutex

// callAndKill makes a call. It reports whether the key has succeeded.
func (k doneKit) callAndKill(id ledger.ID, host string, kill bool, killed, late *atomic.Int64) (over bool) {
	hostsOfKills.Lock() // openAt changes a map
	l := k.open(host)
	hostsOfKills.Unlock()
	c, err := l.claim(k.Context(), id)
	if err != nil {
		k.Errorf("claim: %v", err)
		return true
	}
	rec, err := c.Record(k.Context())
	if err != nil || rec.Current.State == ledger.Succeeded {
		if err == nil && rec.Current.Reason == ledger.ReasonTransaction {
			late.Add(1)
		}
		if err := errors.Join(err, c.Release()); err != nil {
			k.Errorf("record: %v", err)
		}
		return true
	}
	x, err := c.Begin(k.Context(), startM())
	if errors.Is(err, ledger.ErrChanged) {
		return c.Release() != nil
	}
	if err != nil {
		k.Errorf("begin: %v", err)
		return true
	}
	db := k.connect()
	var dead atomic.Bool
	done := make(chan struct{})
	var once sync.Once
	end := func(soon time.Duration) {
		once.Do(func() {
			go func() {
				defer close(done)
				if kill {
					time.Sleep(time.Duration(rand.Int64N(int64(soon))))
					dead.Store(true)
					_ = db.Conn().Close()
				}
			}()
		})
	}
	if !kill || rand.N(3) == 0 {
		end(30 * time.Millisecond)
	}
	err = db.try("begin")
	if err == nil {
		err = db.try(k.work(id, x))
	}
	end(5 * time.Millisecond) // most kills are around the commit
	if err == nil {
		err = db.try("commit")
	}
	if !kill && err != nil {
		k.Errorf("an attempt that nobody killed: %v", err)
		return true
	}
	if !dead.Load() {
		o := died
		if err == nil {
			o = exited
		}
		_, _ = x.Finish(k.Context(), o)
		err := c.Release()
		<-done
		return err != nil
	}
	<-done
	killed.Add(1)
	k.die(l)
	k.expire(id.Key)
	return false
}

// TestFencedHoldersAreNeverLate lets 20 holders commit after another host has run their key.
func TestFencedHoldersAreNeverLate(t *testing.T) {
	k := newDoneKit(t)
	next := k.open("next")
	for i := range 20 {
		key := fmt.Sprint("k", i)
		l := k.open("h")
		c, x := k.begin(l, key)
		db := k.connect()
		db.do("begin")
		db.do(k.work(c.id, x))
		k.die(l)
		k.expire(key)
		other, y := k.begin(next, key)
		if i%2 == 0 {
			k.wantOver(db.try("commit"))
		}
		k.connect().do(k.work(c.id, y))
		finish(t, other, y)
		if i%2 != 0 {
			k.wantOver(db.try("commit"))
		}
	}
	if got := k.effects(); got != "20" {
		t.Errorf("got %s effects, want 20", got)
	}
	if got := k.server.Query(t, "select count(*) from "+k.schema+".effect e join "+k.schema+".record r on r.key = convert_to(e.key, 'UTF8') where r.fence <> e.fence"); got != "0" {
		t.Errorf("got %s effects of fenced holders, want 0", got)
	}
}
