package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"idem/ledger"
)

var queueCases = []testCase{
	{"QueueOfAFreeMutex", queueOfAFreeMutex, nil},
	{"QueueReturnsOnRelease", queueReturnsOnRelease, nil},
	{"QueueIsInOrder", queueIsInOrder, nil},
	{"QueueIsNotOvertaken", queueIsNotOvertaken, nil},
	{"QueueOfPlaces", queueOfPlaces, nil},
	{"QueueOfAWriter", queueOfAWriter, nil},
	{"QueueHonoursContext", queueHonoursContext, nil},
	{"QueueLeftByRelease", queueLeftByRelease, nil},
	{"QueueTwice", queueTwice, nil},
	{"QueueOfAHolder", queueOfAHolder, nil},
	{"QueueWithoutBegin", queueWithoutBegin, nil},
	{"QueueNeverDeadlocks", queueNeverDeadlocks, nil},
	{"CrashLeavesQueue", crashLeavesQueue, needsCrash},
	{"CrashEndsQueue", crashEndsQueue, needsCrash},
}

// queued starts a Queue in the background.
func (k *kit) queued(ctx context.Context, c ledger.Claim, ms ...string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.Queue(ctx, mutexes(ms...), someone) }()
	return done
}

func (k *kit) stillQueued(done <-chan error, while string) {
	k.Helper()
	select {
	case err := <-done:
		k.Fatalf("Queue returned %v while %s", err, while)
	case <-time.After(moment):
	}
}

// until polls until the states of the mutexes in namespace default are as wanted.
func (k *kit) until(want ...string) {
	k.Helper()
	for {
		states, err := k.b.Mutexes(k.ctx, "default")
		k.ok(err, "Mutexes")
		if got := all(states, stateText); fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func queueOfAFreeMutex(k *kit) {
	c, other := k.claim(k.a, key("k")), k.claim(k.b, key("other"))
	k.ok(c.Queue(k.ctx, mutexes("m", "n:3"), someone), "Queue for free mutexes")
	k.phase(key("k"), ledger.PhaseNone)
	k.used("m:0  | k", "n:0  | k")
	k.noPlace(other, "n:3") // the first in line comes first
	k.noPlace(other, "m")
	k.beginWith(c, startWith(mutexes("m", "n:3")))
	k.used("m:1 k | ", "n:3 k | ")
	k.noPlace(other, "m")
	x := k.beginWith(other, startWith(mutexes("n:3")))
	k.finish(x, success)
	k.release(other)
	k.release(c)
	k.used()
}

func queueReturnsOnRelease(k *kit) {
	holder, x := k.hold(k.a, key("k"), "m")
	c := k.claim(k.b, key("other"))
	before := time.Now().Add(-time.Second)
	done := k.queued(k.ctx, c, "m")
	k.until("m:1 k | other")
	states, err := k.a.Mutexes(k.ctx, "default", "m")
	k.ok(err, "Mutexes")
	use := states[0].Waiters[0]
	if use.Since.Before(before) || use.Since.After(time.Now().Add(time.Second)) || use.Since.Location() != time.UTC {
		k.Errorf("the wait began at %v, which is not now in UTC", use.Since)
	}
	use.Since = time.Time{}
	k.same(use, ledger.MutexUse{ID: key("other"), Owner: someone}, "waiter")
	k.finish(x, success)
	k.stillQueued(done, "the claim is not released")
	k.release(holder)
	k.ok(k.answer(done), "Queue")
	k.beginWith(c, startWith(mutexes("m")))
	k.release(c)
	k.used()
}

func queueIsInOrder(k *kit) {
	holder, _ := k.hold(k.a, key("holder"), "m")
	var order []int
	var all sync.WaitGroup
	want, waiters := []int{}, ""
	for i := range crowd {
		name := fmt.Sprint(i)
		c := k.claim(k.handle(i), key(name))
		all.Go(func() {
			if err := c.Queue(k.ctx, mutexes("m"), someone); err != nil {
				k.Error(err)
			}
			x, err := c.Begin(k.ctx, startWith(mutexes("m")))
			if err != nil {
				k.Error(err)
				return
			}
			order = append(order, i) // guarded by the mutex
			_, err = x.Finish(k.ctx, success)
			if err := errors.Join(err, c.Release()); err != nil {
				k.Error(err)
			}
		})
		want = append(want, i)
		waiters += " " + name
		k.until("m:1 holder |" + waiters)
	}
	k.release(holder)
	all.Wait()
	k.same(order, want, "order of the waiters")
	k.used()
}

// queueIsNotOvertaken: a call that does not wait gets no place before one that waits.
func queueIsNotOvertaken(k *kit) {
	holder, _ := k.hold(k.a, key("holder"), "a")
	c := k.claim(k.b, key("k"))
	done := k.queued(k.ctx, c, "a", "b:2")
	k.until("a:1 holder | k", "b:0  | k")
	other := k.claim(k.a, key("other"))
	e := k.noPlace(other, "b:2")
	k.same(stateText(e.State), "b:0  | k", "state of the error")
	k.release(holder)
	k.ok(k.answer(done), "Queue")
	k.noPlace(other, "a")
	k.beginWith(c, startWith(mutexes("a", "b:2")))
	k.beginWith(other, startWith(mutexes("b:2")))
	k.used("a:1 k | ", "b:2 k other | ")
	k.release(c)
	k.release(other)
}

// queueOfPlaces: a claim that has got its place does not hold up the next one in line.
func queueOfPlaces(k *kit) {
	first, _ := k.hold(k.a, key("0"), "m:2")
	second, _ := k.hold(k.b, key("1"), "m:2")
	third, fourth := k.claim(k.a, key("2")), k.claim(k.b, key("3"))
	done := k.queued(k.ctx, third, "m:2")
	k.until("m:2 0 1 | 2")
	doneFourth := k.queued(k.ctx, fourth, "m:2")
	k.until("m:2 0 1 | 2 3")
	k.release(first)
	k.ok(k.answer(done), "Queue")
	k.beginWith(third, startWith(mutexes("m:2")))
	k.stillQueued(doneFourth, "both places are held")
	k.release(second)
	k.ok(k.answer(doneFourth), "Queue for the second place")
	k.beginWith(fourth, startWith(mutexes("m:2")))
	k.used("m:2 2 3 | ")
	k.release(third)
	k.release(fourth)
}

// queueOfAWriter: calls with a limit of 3 do not keep one with a limit of 1 out for ever.
func queueOfAWriter(k *kit) {
	first, _ := k.hold(k.a, key("0"), "m:3")
	writer, later := k.claim(k.b, key("writer")), k.claim(k.a, key("later"))
	done := k.queued(k.ctx, writer, "m")
	k.until("m:3 0 | writer")
	k.noPlace(later, "m:3")
	doneLater := k.queued(k.ctx, later, "m:3")
	k.until("m:3 0 | writer later")
	k.release(first)
	k.ok(k.answer(done), "Queue")
	k.beginWith(writer, startWith(mutexes("m")))
	k.stillQueued(doneLater, "the writer runs")
	k.release(writer)
	k.ok(k.answer(doneLater), "Queue")
	k.beginWith(later, startWith(mutexes("m:3")))
	k.used("m:3 later | ")
	k.release(later)
}

func queueHonoursContext(k *kit) {
	holder, _ := k.hold(k.a, key("holder"), "m")
	first, second := k.claim(k.a, key("first")), k.claim(k.b, key("second"))
	ctx, cancel := context.WithCancel(k.ctx)
	done := k.queued(ctx, first, "m")
	k.until("m:1 holder | first")
	doneSecond := k.queued(k.ctx, second, "m")
	k.until("m:1 holder | first second")
	cancel()
	k.is(k.answer(done), context.Canceled, "Queue, then cancelled")
	k.until("m:1 holder | second")
	k.is(first.Queue(ctx, mutexes("m"), someone), context.Canceled, "Queue, cancelled before")
	k.used("m:1 holder | second")
	k.ok(first.Queue(ctx, mutexes("free"), someone), "Queue for a free mutex, cancelled before")
	k.used("free:0  | first", "m:1 holder | second")
	k.release(first)
	k.release(holder)
	k.ok(k.answer(doneSecond), "Queue behind a cancelled one")
	k.release(second)
	k.used()
}

// queueLeftByRelease: a claim that is released leaves the line, also during its Queue.
func queueLeftByRelease(k *kit) {
	holder, _ := k.hold(k.a, key("holder"), "m")
	first, second := k.claim(k.a, key("first")), k.claim(k.b, key("second"))
	done := k.queued(k.ctx, first, "m")
	k.until("m:1 holder | first")
	doneSecond := k.queued(k.ctx, second, "m")
	k.until("m:1 holder | first second")
	k.release(first)
	if k.answer(done) == nil {
		k.Error("Queue of a released claim returned nil")
	}
	k.until("m:1 holder | second")
	k.release(holder)
	k.ok(k.answer(doneSecond), "Queue behind a released claim")
	k.release(second)
	if first.Queue(k.ctx, mutexes("m"), someone) == nil {
		k.Error("Queue after Release returned nil")
	}
	k.used()
}

// queueTwice: a further Queue of a claim keeps its place in line.
func queueTwice(k *kit) {
	first, second := k.claim(k.a, key("first")), k.claim(k.b, key("second"))
	k.ok(first.Queue(k.ctx, mutexes("m"), someone), "Queue")
	done := k.queued(k.ctx, second, "m")
	k.until("m:0  | first second")
	k.ok(first.Queue(k.ctx, mutexes("m"), someone), "second Queue")
	k.stillQueued(done, "another claim is first in line")
	k.beginWith(first, startWith(mutexes("m")))
	k.until("m:1 first | second")
	k.release(first)
	k.ok(k.answer(done), "Queue")
	k.release(second)
}

func queueOfAHolder(k *kit) {
	c, _ := k.hold(k.a, key("k"), "m")
	other := k.claim(k.b, key("other"))
	done := k.queued(k.ctx, other, "m")
	k.until("m:1 k | other")
	k.ok(c.Queue(k.ctx, mutexes("m"), someone), "Queue of the holder")
	k.used("m:1 k | other")
	k.release(c)
	k.ok(k.answer(done), "Queue")
	k.release(other)
}

// queueWithoutBegin: a claim that is settled otherwise leaves its line with Release. An attempt
// without mutexes leaves it too.
func queueWithoutBegin(k *kit) {
	c := k.claim(k.a, key("k"))
	k.ok(c.Queue(k.ctx, mutexes("m"), someone), "Queue")
	_, err := c.Mark(k.ctx, newMark(ledger.Record{ID: key("k"), Generation: 1}, ledger.Succeeded))
	k.ok(err, "Mark")
	k.release(c)
	k.used()
	c = k.claim(k.a, key("k"))
	k.ok(c.Queue(k.ctx, mutexes("m"), someone), "Queue")
	k.begin(c)
	k.used()
	k.release(c)
}

// queueNeverDeadlocks: calls with several mutexes, named in any order, all get on.
func queueNeverDeadlocks(k *kit) {
	names, limits := []string{"a", "b", "c"}, []int{1, 1, 3}
	var mu sync.Mutex
	var running [3]int
	k.together(crowd, func(i int) error {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		for round := range 3 {
			var ms []ledger.Mutex
			var picked []int
			for _, n := range random.Perm(3)[:1+random.IntN(3)] {
				ms, picked = append(ms, ledger.Mutex{Name: names[n], Limit: limits[n]}), append(picked, n)
			}
			c, err := k.handle(i).Claim(k.ctx, key(fmt.Sprint(i, round)))
			if err != nil {
				return err
			}
			defer c.Release()
			if err := c.Queue(k.ctx, ms, someone); err != nil {
				return err
			}
			x, err := c.Begin(k.ctx, startWith(ms))
			if err != nil {
				return err
			}
			count := func(by int) {
				mu.Lock()
				defer mu.Unlock()
				for _, n := range picked {
					if running[n] += by; running[n] > limits[n] {
						k.Errorf("%d attempts hold mutex %s", running[n], names[n])
					}
				}
			}
			count(1)
			_, err = x.Finish(k.ctx, success)
			count(-1)
			if err := errors.Join(err, c.Release()); err != nil {
				return err
			}
		}
		return nil
	})
	k.used()
}

// crashLeavesQueue: the death of the first in line, waiting or not, lets the next one go on.
func crashLeavesQueue(k *kit) {
	holder, _ := k.hold(k.b, key("holder"), "m")
	dead, next := k.claim(k.a, key("dead")), k.claim(k.b, key("next"))
	k.queued(k.ctx, dead, "m")
	k.until("m:1 holder | dead")
	done := k.queued(k.ctx, next, "m")
	k.until("m:1 holder | dead next")
	k.crash()
	k.until("m:1 holder | next")
	k.stillQueued(done, "the mutex is held")
	k.release(holder)
	k.ok(k.answer(done), "Queue behind a dead process")
	k.beginWith(next, startWith(mutexes("m")))
	k.release(next)

	dead, next = k.claim(k.a, key("dead")), k.claim(k.b, key("next"))
	k.ok(dead.Queue(k.ctx, mutexes("m"), someone), "Queue")
	done = k.queued(k.ctx, next, "m")
	k.until("m:0  | dead next")
	k.crash()
	k.ok(k.answer(done), "Queue behind a dead process")
	k.used("m:0  | next")
	k.release(next)
	c := k.claim(k.a, key("dead"))
	k.beginWith(c, startWith(mutexes("m")))
	k.used("m:1 dead | ")
	k.release(c)
}

func crashEndsQueue(k *kit) {
	k.hold(k.a, key("k"), "m")
	c := k.claim(k.b, key("other"))
	done := k.queued(k.ctx, c, "m")
	k.until("m:1 k | other")
	k.crash()
	k.ok(k.answer(done), "Queue")
	k.beginWith(c, startWith(mutexes("m")))
	k.release(c)
}
