package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"idem/ledger"
)

var mutexCases = []testCase{
	{"MutexExcludesOtherKeys", mutexExcludesOtherKeys, nil},
	{"MutexOfOneNamespace", mutexOfOneNamespace, nil},
	{"MutexNames", mutexNames, nil},
	{"MutexPlaces", mutexPlaces, nil},
	{"MutexLimitsNeverTogether", mutexLimitsNeverTogether, nil},
	{"MutexesAllOrNone", mutexesAllOrNone, nil},
	{"MutexKeptOverRetries", mutexKeptOverRetries, nil},
	{"MutexAfterAbandon", mutexAfterAbandon, nil},
	{"MutexAfterMarkAndForget", mutexAfterMarkAndForget, nil},
	{"MutexErrorRecordsNothing", mutexErrorRecordsNothing, nil},
	{"MutexesCancelled", mutexesCancelled, nil},
	{"MutexesOfNoLedger", mutexesOfNoLedger, nil},
	{"ManyMutexes", manyMutexes, nil},
}

// mutexes parses mutexes such as "a" and "b:3".
func mutexes(texts ...string) []ledger.Mutex {
	var ms []ledger.Mutex
	for _, text := range texts {
		m := ledger.Mutex{Name: text, Limit: 1}
		if name, limit, ok := strings.Cut(text, ":"); ok {
			m.Name = name
			m.Limit, _ = strconv.Atoi(limit)
		}
		ms = append(ms, m)
	}
	return ms
}

func startWith(ms []ledger.Mutex) ledger.Start {
	s := newStart()
	s.Mutexes = ms
	return s
}

// hold claims id and begins an attempt with mutexes.
func (k *kit) hold(l ledger.Ledger, id ledger.ID, ms ...string) (ledger.Claim, ledger.Execution) {
	k.Helper()
	c := k.claim(l, id)
	return c, k.beginWith(c, startWith(mutexes(ms...)))
}

// noPlace checks that Begin with mutexes fails with a *MutexError.
func (k *kit) noPlace(c ledger.Claim, ms ...string) ledger.MutexError {
	k.Helper()
	_, err := c.Begin(k.ctx, startWith(mutexes(ms...)))
	var e *ledger.MutexError
	if !errors.As(err, &e) {
		k.Fatalf("Begin with mutexes %v: got error %v, want a *MutexError", ms, err)
	}
	return *e
}

// stateText describes a state: "NAME:LIMIT HOLDERS | WAITERS". A holder is its key; a leftover
// has a + after it. Holders are sorted, because their order has no meaning.
func stateText(s ledger.MutexState) string {
	keys := func(uses []ledger.MutexUse) (keys []string) {
		for _, u := range uses {
			text := u.ID.Key + u.ID.Window
			if u.Leftover {
				text += "+"
			}
			keys = append(keys, text)
		}
		return keys
	}
	holders := keys(s.Holders)
	slices.Sort(holders)
	return fmt.Sprintf("%s:%d %s | %s", s.Name, s.Limit, strings.Join(holders, " "), strings.Join(keys(s.Waiters), " "))
}

// used checks the states of all mutexes in namespace default, from both handles.
func (k *kit) used(want ...string) {
	k.Helper()
	for _, l := range []ledger.Ledger{k.a, k.b} {
		states, err := l.Mutexes(k.ctx, "default")
		k.ok(err, "Mutexes")
		k.same(all(states, stateText), want, "mutexes in use")
	}
}

func mutexExcludesOtherKeys(k *kit) {
	k.used()
	before := time.Now().Add(-time.Second)
	c, x := k.hold(k.a, key("k"), "m")
	k.used("m:1 k | ")
	other := k.claim(k.b, key("other"))
	e := k.noPlace(other, "m")
	k.same(e.Mutex, ledger.Mutex{Name: "m", Limit: 1}, "mutex of the error")
	k.same(stateText(e.State), "m:1 k | ", "state of the error")
	use := e.State.Holders[0]
	if use.Since.Before(before) || use.Since.After(time.Now().Add(time.Second)) || use.Since.Location() != time.UTC {
		k.Errorf("the mutex was taken at %v, which is not now in UTC", use.Since)
	}
	use.Since = time.Time{}
	k.same(use, ledger.MutexUse{ID: key("k"), RunID: x.Attempt().RunID, Owner: someone}, "holder of the error")
	k.phase(key("other"), ledger.PhaseNone)

	k.finish(x, success)
	k.noPlace(other, "m") // the claim keeps it until Release
	k.release(c)
	k.used()
	y := k.beginWith(other, startWith(mutexes("m")))
	k.used("m:1 other | ")
	k.finish(y, success)
	k.release(other)
	k.used()

	// An attempt without a mutex needs no place.
	c, _ = k.hold(k.a, key("k"), "m")
	k.run(k.b, key("free"), success)
	k.release(c)
}

func mutexOfOneNamespace(k *kit) {
	c, _ := k.hold(k.a, key("k"), "m")
	prod, _ := k.hold(k.b, ledger.ID{Namespace: "prod", Key: "k"}, "l", "m:2")
	window, _ := k.hold(k.b, ledger.ID{Namespace: "default", Key: "k", Window: "w"}, "n")
	states := func(namespace string, names ...string) []string {
		k.Helper()
		states, err := k.b.Mutexes(k.ctx, namespace, names...)
		k.ok(err, "Mutexes")
		return all(states, func(s ledger.MutexState) string { return s.Namespace + " " + stateText(s) })
	}
	k.same(states("prod"), []string{"prod l:1 k | ", "prod m:2 k | "}, "mutexes of a namespace")
	k.same(states("prod", "m", "x"), []string{"prod m:2 k | "}, "mutexes by name")
	k.same(states(""), []string{"default m:1 k | ", "default n:1 kw | ", "prod l:1 k | ", "prod m:2 k | "}, "all mutexes")
	k.same(states("", "m"), []string{"default m:1 k | ", "prod m:2 k | "}, "mutexes of all namespaces by name")
	k.same(len(states("none")), 0, "mutexes of an empty namespace")
	for _, c := range []ledger.Claim{c, prod, window} {
		k.release(c)
	}
	k.same(len(states("")), 0, "mutexes after Release")
}

// mutexNames: each name is a separate mutex, whatever its bytes.
func mutexNames(k *kit) {
	names := []string{"", " ", "a", "A", "a\x00", "\x00a", "a\xff", "é", "e\u0301", "%", "*", "'", "mutex", "1", "a\n", strings.Repeat("x", 255)}
	slices.Sort(names)
	var claims []ledger.Claim
	for i, name := range names {
		c := k.claim(k.handle(i), key(fmt.Sprint(i)))
		k.beginWith(c, startWith([]ledger.Mutex{{Name: name, Limit: 1}}))
		claims = append(claims, c)
	}
	states, err := k.a.Mutexes(k.ctx, "default")
	k.ok(err, "Mutexes")
	k.same(all(states, func(s ledger.MutexState) string { return s.Name }), names, "names")
	other := k.claim(k.a, key("other"))
	for i, name := range names {
		_, err := other.Begin(k.ctx, startWith([]ledger.Mutex{{Name: name, Limit: 1}}))
		var e *ledger.MutexError
		if !errors.As(err, &e) || e.State.Holders[0].ID != key(fmt.Sprint(i)) {
			k.Errorf("Begin with mutex %q: got error %v", name, err)
		}
	}
	for _, c := range append(claims, other) {
		k.release(c)
	}
}

func mutexPlaces(k *kit) {
	var claims []ledger.Claim
	for i := range 3 {
		c, _ := k.hold(k.handle(i), key(fmt.Sprint(i)), "m:3")
		claims = append(claims, c)
	}
	k.used("m:3 0 1 2 | ")
	c := k.claim(k.a, key("other"))
	for i := range 3 {
		e := k.noPlace(c, "m:3")
		k.same(len(e.State.Holders), 3, "holders")
		k.release(claims[i])
		x := k.beginWith(c, startWith(mutexes("m:3")))
		k.same(x.Attempt().Number, i+1, "number of the attempt")
		k.finish(x, failure)
		k.release(c)
		claims[i], _ = k.hold(k.handle(i), key(fmt.Sprint(i)), "m:3")
		c = k.claim(k.b, key("other"))
	}
	for _, c := range append(claims, c) {
		k.release(c)
	}
	k.used()
}

func mutexLimitsNeverTogether(k *kit) {
	limits := []string{"m:1", "m:2", "m:3", "m:1000"}
	for _, held := range limits {
		c, _ := k.hold(k.a, key("k"), held)
		for _, wanted := range limits {
			other := k.claim(k.b, key("other"))
			if wanted == held && held != "m:1" {
				k.beginWith(other, startWith(mutexes(wanted)))
			} else {
				k.noPlace(other, wanted)
			}
			k.release(other)
			k.used(held + " k | ")
		}
		k.release(c)
	}
}

func mutexesAllOrNone(k *kit) {
	b, _ := k.hold(k.a, key("k"), "b")
	c := k.claim(k.b, key("other"))
	k.same(k.noPlace(c, "a", "b", "c").Mutex.Name, "b", "mutex of the error")
	k.used("b:1 k | ")
	for _, name := range []string{"a", "c"} {
		other, _ := k.hold(k.a, key("free"), name)
		k.release(other)
	}
	k.release(b)
	k.beginWith(c, startWith(mutexes("a", "b", "c")))
	k.used("a:1 other | ", "b:1 other | ", "c:1 other | ")
	k.release(c)
	k.used()
}

func mutexKeptOverRetries(k *kit) {
	c, x := k.hold(k.a, key("k"), "m", "n:2")
	other := k.claim(k.b, key("other"))
	for _, o := range []ledger.Outcome{failure, killed, success} {
		k.finish(x, o)
		k.noPlace(other, "m")
		x = k.beginWith(c, startWith(mutexes("m", "n:2")))
		e := k.noPlace(other, "m")
		k.same(e.State.Holders[0].RunID, x.Attempt().RunID, "attempt that holds the mutex")
		k.used("m:1 k | ", "n:2 k | ")
	}
	k.finish(x, success)
	k.release(c)
	k.used()
	k.beginWith(other, startWith(mutexes("m")))
	k.release(other)
}

func mutexAfterAbandon(k *kit) {
	c, x := k.hold(k.a, key("k"), "m")
	k.ok(x.Abandon(k.ctx), "Abandon")
	other := k.claim(k.b, key("other"))
	k.noPlace(other, "m")
	k.release(c)
	k.used()
	k.beginWith(other, startWith(mutexes("m")))
	k.release(other)
}

// mutexAfterMarkAndForget: the record of an earlier holder may be gone.
func mutexAfterMarkAndForget(k *kit) {
	for name, settle := range map[string]func(id ledger.ID){
		"nothing": func(ledger.ID) {},
		"mark":    func(id ledger.ID) { k.mark(k.b, id, ledger.Succeeded) },
		"forget":  func(id ledger.ID) { k.ok(k.b.Forget(k.ctx, id), "Forget") },
		"run":     func(id ledger.ID) { k.run(k.b, id, success) },
	} {
		for _, done := range []bool{true, false} {
			id := key(fmt.Sprint(name, done))
			c, x := k.hold(k.a, id, "m:2")
			if done {
				k.finish(x, success)
			}
			k.release(c)
			settle(id)
			k.used()
			c, _ = k.hold(k.b, key("other"), "m")
			k.used("m:1 other | ")
			k.release(c)
		}
	}
}

// mutexErrorRecordsNothing: also an interrupted attempt stays as it is.
func mutexErrorRecordsNothing(k *kit) {
	holder, _ := k.hold(k.a, key("holder"), "m")
	id := key("k")
	k.interrupt(k.a, id)
	before, history := k.get(k.b, id), k.attempts(k.b, id)
	c := k.claim(k.b, id)
	k.noPlace(c, "m")
	rec, err := c.Record(k.ctx)
	k.ok(err, "Record")
	rec.Alive = false
	k.same(rec, before, "record under the claim")
	k.release(c)
	k.same(k.get(k.a, id), before, "record after a *MutexError")
	k.same(k.attempts(k.a, id), history, "history after a *MutexError")
	k.release(holder)
}

func mutexesCancelled(k *kit) {
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	c := k.claim(k.a, key("k"))
	_, err := c.Begin(ctx, startWith(mutexes("m")))
	k.is(err, context.Canceled, "Begin, cancelled")
	_, err = k.a.Mutexes(ctx, "default")
	k.is(err, context.Canceled, "Mutexes, cancelled")
	k.used()
	other, _ := k.hold(k.b, key("other"), "m")
	k.release(other)
	k.release(c)
}

func mutexesOfNoLedger(k *kit) {
	place := k.h.New(k.T)
	before := ""
	if k.h.Look != nil {
		before = k.h.Look(k.T, place)
	}
	l, err := k.h.Open(place)
	k.ok(err, "open")
	states, err := l.Mutexes(k.ctx, "", "m")
	k.ok(err, "Mutexes")
	k.same(len(states), 0, "mutexes of no ledger")
	if k.h.Look != nil {
		k.same(k.h.Look(k.T, place), before, "files after Mutexes")
	}
	k.ok(l.Close(), "Close")
}

// manyMutexes: a ledger may have many mutexes, and a mutex many places.
func manyMutexes(k *kit) {
	const n = 100
	claims := make([]ledger.Claim, n)
	for i := range n {
		claims[i], _ = k.hold(k.handle(i), key(fmt.Sprint(i)), fmt.Sprintf("m%03d", i), "n:100")
	}
	states, err := k.a.Mutexes(k.ctx, "default")
	k.ok(err, "Mutexes")
	k.same(len(states), n+1, "number of mutexes")
	c := k.claim(k.b, key("other"))
	k.same(len(k.noPlace(c, "n:100").State.Holders), n, "holders")
	k.release(claims[n/2])
	k.beginWith(c, startWith(mutexes("n:100")))
	for i, c := range append(claims, c) {
		if i != n/2 {
			k.release(c)
		}
	}
	k.used()
}
