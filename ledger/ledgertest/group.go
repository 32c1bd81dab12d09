package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"idem/ledger"
)

var groupCases = []testCase{
	{"TogetherIsAcknowledgedOneByOne", togetherIsAcknowledgedOneByOne, nil},
	{"TogetherFailsAlone", togetherFailsAlone, nil},
	{"TogetherWithOneClaim", togetherWithOneClaim, nil},
	{"TogetherWithoutChanges", togetherWithoutChanges, nil},
	{"TogetherWaitsForOtherCalls", togetherWaitsForOtherCalls, nil},
	{"TogetherTakesMutexes", togetherTakesMutexes, nil},
	{"TogetherInACrowd", togetherInACrowd, nil},
	{"TogetherSurvivesCrash", togetherSurvivesCrash, needsCrash},
	{"SustainEndsTwice", sustainEndsTwice, nil},
}

// togetherIsAcknowledgedOneByOne: when an operation returns, other handles see its effect,
// although other operations of the group have not returned.
func togetherIsAcknowledgedOneByOne(k *kit) {
	for round := range 5 {
		var changes []func(context.Context)
		for i := range crowd {
			id := key(fmt.Sprint(round, " ", i))
			changes = append(changes, func(context.Context) {
				c, x := k.begins(k.a, id)
				if x == nil {
					return
				}
				k.shows(k.b, id, ledger.PhaseRunning)
				if _, err := x.Finish(k.ctx, success); err != nil {
					k.Errorf("Finish: %v", err)
				}
				k.shows(k.b, id, ledger.PhaseSucceeded)
				if err := c.Release(); err != nil {
					k.Errorf("Release: %v", err)
				}
			})
		}
		ledger.Together(k.ctx, k.a, changes...)
	}
	k.same(len(k.list(k.b, ledger.Filter{Phases: ledger.Phases{ledger.PhaseSucceeded}})), 5*crowd, "keys listed")
}

// begins claims a key and begins an attempt, for a goroutine, which must not call FailNow. After a
// failure, there is no execution.
func (k *kit) begins(l ledger.Ledger, id ledger.ID) (ledger.Claim, ledger.Execution) {
	k.Helper()
	c, err := l.Claim(k.ctx, id)
	if err != nil {
		k.Errorf("Claim: %v", err)
		return nil, nil
	}
	x, err := c.Begin(k.ctx, newStart())
	if err != nil {
		k.Errorf("Begin: %v", err)
		return c, nil
	}
	return c, x
}

// shows is kit.phase for a goroutine, which must not call FailNow.
func (k *kit) shows(l ledger.Ledger, id ledger.ID, want ledger.Phase) {
	k.Helper()
	if r, err := l.Get(k.ctx, id); err != nil || r.Phase() != want {
		k.Errorf("key %q: got phase %s, error %v, want phase %s", id.Key, r.Phase(), err, want)
	}
}

// togetherFailsAlone: changes that fail leave no trace, and fail no change that is made at
// the same time.
func togetherFailsAlone(k *kit) {
	_, held := k.hold(k.b, key("holder"), "m")
	lost := k.interrupt(k.a, key("lost"))
	k.run(k.b, key("lost"), success) // takes the key over
	k.run(k.a, key("marked"), failure)

	var good []ledger.Execution
	for i := range crowd {
		good = append(good, k.begin(k.claim(k.a, key(fmt.Sprint("good ", i)))))
	}
	canceled, cancel := context.WithCancel(k.ctx)
	cancel()
	noMutex, noContext, released := k.claim(k.a, key("no mutex")), k.claim(k.a, key("no context")), k.claim(k.a, key("released"))
	k.release(released)
	stale := k.claim(k.a, key("marked"))

	var changes []func(context.Context)
	fails := func(is func(error) bool, change func() error) {
		changes = append(changes, func(context.Context) {
			if err := change(); !is(err) {
				k.Errorf("a change that must fail: got error %v", err)
			}
		})
	}
	begin := func(ctx context.Context, c ledger.Claim, s ledger.Start) func() error {
		return func() error { _, err := c.Begin(ctx, s); return err }
	}
	for i, x := range good {
		changes = append(changes, func(context.Context) {
			if _, err := x.Finish(k.ctx, success); err != nil {
				k.Errorf("Finish: %v", err)
			}
		})
		switch i {
		case 3:
			fails(func(err error) bool { return errors.As(err, new(*ledger.MutexError)) }, begin(k.ctx, noMutex, startWith(mutexes("m"))))
		case 6:
			fails(func(err error) bool { return errors.Is(err, context.Canceled) }, begin(canceled, noContext, newStart()))
		case 9:
			fails(func(err error) bool { return err != nil }, begin(k.ctx, released, newStart()))
		case 12:
			fails(func(err error) bool { return errors.Is(err, ledger.ErrChanged) }, func() error {
				_, err := stale.Mark(k.ctx, newMark(ledger.Record{ID: key("marked"), Generation: 1}, ledger.Succeeded))
				return err
			})
		case 15:
			fails(func(err error) bool { return errors.Is(err, ledger.ErrLost) }, func() error {
				_, err := lost.Finish(k.ctx, success)
				return err
			})
		}
	}
	ledger.Together(k.ctx, k.a, changes...)
	for i := range good {
		k.phase(key(fmt.Sprint("good ", i)), ledger.PhaseSucceeded)
	}
	for _, name := range []string{"no mutex", "no context", "released"} {
		k.phase(key(name), ledger.PhaseNone)
	}
	k.phase(key("marked"), ledger.PhaseFailed)
	k.same(len(k.attempts(k.b, key("marked"))), 1, "attempts after a refused mark")
	k.finish(held, success)
	k.release(stale)

	// The claims of changes that have failed are as before.
	k.finish(k.begin(noContext), success)
	k.release(noContext)
	k.phase(key("no context"), ledger.PhaseSucceeded)
}

// togetherWithOneClaim: two attempts of one claim at the same time are a mistake of the
// caller. Each acknowledged one is recorded nevertheless, and no other change fails.
func togetherWithOneClaim(k *kit) {
	c, other := k.claim(k.a, key("twice")), k.claim(k.a, key("other"))
	var begun atomic.Int32
	twice := func(context.Context) {
		if _, err := c.Begin(k.ctx, newStart()); err == nil {
			begun.Add(1)
		}
	}
	ledger.Together(k.ctx, k.a, twice, twice, func(context.Context) {
		if _, err := other.Begin(k.ctx, newStart()); err != nil {
			k.Errorf("Begin: %v", err)
		}
	})
	k.same(len(k.attempts(k.b, key("twice"))), int(begun.Load()), "attempts of the claim that began two")
	k.phase(key("other"), ledger.PhaseRunning)
	k.release(c)
	k.release(other)
	k.claimFree(key("twice"))
}

// togetherWithoutChanges: functions need not change anything.
func togetherWithoutChanges(k *kit) {
	ledger.Together(k.ctx, k.a)
	ran := false
	ledger.Together(k.ctx, k.a, func(context.Context) { ran = true })
	k.same(ran, true, "whether the function was called")
	id := key("k")
	c := k.claim(k.a, id)
	var inside sync.Mutex
	read := 0
	look := func(context.Context) {
		k.shows(k.a, key("nothing"), ledger.PhaseNone)
		inside.Lock()
		defer inside.Unlock()
		read++
	}
	ledger.Together(k.ctx, k.a, look, func(context.Context) {
		if _, err := c.Begin(k.ctx, newStart()); err != nil {
			k.Errorf("Begin: %v", err)
		}
	}, look)
	k.same(read, 2, "functions that were called")
	k.phase(id, ledger.PhaseRunning)
	k.release(c)
}

// togetherWaitsForOtherCalls: a function may wait for a call that is not in its group, and
// that has to commit a change itself.
func togetherWaitsForOtherCalls(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	waits := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		<-waits
		_, err := x.Finish(k.ctx, success)
		done <- errors.Join(err, c.Release())
	}()
	once := sync.OnceFunc(func() { close(waits) })
	wait := func(context.Context) {
		once()
		if err := k.a.Wait(k.ctx, id); err != nil {
			k.Errorf("Wait: %v", err)
		}
	}
	ledger.Together(k.ctx, k.a, wait, wait, wait)
	k.ok(k.answer(done), "Finish and Release")
	k.phase(id, ledger.PhaseSucceeded)
}

// togetherTakesMutexes: as many changes of a group get a place as there are, and one that
// fails gives its places up.
func togetherTakesMutexes(k *kit) {
	var claims []ledger.Claim
	var changes []func(context.Context)
	var got atomic.Int32
	for i := range crowd {
		c := k.claim(k.a, key(fmt.Sprint(i)))
		claims = append(claims, c)
		changes = append(changes, func(context.Context) {
			_, err := c.Begin(k.ctx, startWith(mutexes("a:20", "b:3")))
			switch {
			case err == nil:
				got.Add(1)
			case !errors.As(err, new(*ledger.MutexError)):
				k.Errorf("Begin: %v", err)
			}
		})
	}
	ledger.Together(k.ctx, k.a, changes...)
	k.same(got.Load(), int32(3), "changes that got a place")
	states, err := k.b.Mutexes(k.ctx, "default")
	k.ok(err, "Mutexes")
	for _, s := range states {
		k.same(len(s.Holders), 3, "holders of mutex "+s.Name)
	}
	for _, c := range claims {
		k.release(c)
	}
	c, x := k.hold(k.b, key("later"), "a:20", "b:3")
	k.finish(x, success)
	k.release(c)
}

// togetherInACrowd: 64 goroutines change, retry, mark and forget keys through one handle
// at once, some of them with a context that ends.
func togetherInACrowd(k *kit) {
	const rounds = 4
	var succeeded, gone sync.Map
	k.together(64, func(i int) error {
		l := k.handle(i)
		for round := range rounds {
			id, other := key(fmt.Sprint(i, "/", round)), key(fmt.Sprint(i, "/", round, " other"))
			var errs [2]error
			ledger.Together(k.ctx, l, func(context.Context) {
				errs[0] = k.runOnce(l, id, func() {})
				succeeded.Store(id, true)
			}, func(context.Context) {
				switch i % 4 {
				case 0: // fails
					ctx, cancel := context.WithCancel(k.ctx)
					cancel()
					if c, err := l.Claim(k.ctx, other); err == nil {
						_, _ = c.Begin(ctx, newStart())
						errs[1] = c.Release()
					}
					gone.Store(other, true)
				case 1: // is forgotten
					errs[1] = errors.Join(k.runOnce(l, other, func() {}), l.Forget(k.ctx, other))
					gone.Store(other, true)
				case 2: // is marked
					_, errs[1] = settle(k.ctx, l, other, newMark(ledger.Record{ID: other, Generation: 1}, ledger.Succeeded))
					succeeded.Store(other, true)
				case 3: // is interrupted, and then run
					c, err := l.Claim(k.ctx, other)
					if err != nil {
						errs[1] = err
						return
					}
					_, err = c.Begin(k.ctx, newStart())
					errs[1] = errors.Join(err, c.Release(), k.runOnce(l, other, func() {}))
					succeeded.Store(other, true)
				}
			})
			if err := errors.Join(errs[:]...); err != nil {
				return err
			}
		}
		return nil
	})
	succeeded.Range(func(id, _ any) bool {
		k.phase(id.(ledger.ID), ledger.PhaseSucceeded)
		return true
	})
	gone.Range(func(id, _ any) bool {
		k.phase(id.(ledger.ID), ledger.PhaseNone)
		return true
	})
}

// togetherSurvivesCrash: all changes of a group that were acknowledged are kept.
func togetherSurvivesCrash(k *kit) {
	var acknowledged sync.Map
	var changes []func(context.Context)
	for i := range crowd {
		changes = append(changes, func(context.Context) {
			id := key(fmt.Sprint(i))
			_, x := k.begins(k.a, id)
			if x == nil {
				return
			}
			acknowledged.Store(id, x.Attempt())
			if i%2 > 0 {
				a, err := x.Finish(k.ctx, failure)
				if err != nil {
					k.Errorf("Finish: %v", err)
				}
				acknowledged.Store(id, a)
			}
		})
	}
	ledger.Together(k.ctx, k.a, changes...)
	k.crash()
	acknowledged.Range(func(id, a any) bool {
		k.same(k.get(k.a, id.(ledger.ID)).Current, a, "current attempt after a crash")
		return true
	})
}

// sustainEndsTwice: Sustain may be called more than once at the same time, before there is
// a ledger, and its end too.
func sustainEndsTwice(k *kit) {
	end, other := ledger.Sustain(k.a), ledger.Sustain(k.a)
	k.run(k.a, key("k"), success)
	end()
	end()
	k.run(k.a, key("k"), success)
	other()
	k.run(k.a, key("k"), success)
	k.same(k.get(k.b, key("k")).Attempts, 3, "attempts")
}
