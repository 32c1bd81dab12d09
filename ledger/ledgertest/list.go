package ledgertest

import (
	"fmt"
	"time"

	"idem/ledger"
)

var listCases = []testCase{
	{"ListOrder", listOrder, nil},
	{"ListFilter", listFilter, nil},
	{"ListGlob", listGlob, nil},
	{"ListSeveral", listSeveral, nil},
	{"ListTimes", listTimes, nil},
	{"ListKey", listKey, nil},
	{"ListWithoutInputs", listWithoutInputs, nil},
	{"ForgottenIsNotListed", forgottenIsNotListed, nil},
}

func (k *kit) listed(f ledger.Filter, want ...string) {
	k.Helper()
	for _, l := range []ledger.Ledger{k.a, k.b} {
		got := []string{}
		for _, r := range k.list(l, f) {
			got = append(got, r.ID.Key)
		}
		k.same(got, want, "keys listed")
	}
}

// listOrder: records are ordered by the start of their latest attempt or mark, not by its
// end.
func listOrder(k *kit) {
	all := ledger.Filter{}
	for _, name := range []string{"m", "a", "z"} {
		k.run(k.a, key(name), success)
	}
	k.listed(all, "z", "a", "m")

	k.run(k.b, key("m"), failure)
	k.listed(all, "m", "z", "a")

	k.mark(k.a, key("a"), ledger.Succeeded)
	k.listed(all, "a", "m", "z")

	c := k.claim(k.a, key("z"))
	k.listed(all, "a", "m", "z")
	x := k.begin(c)
	k.listed(all, "z", "a", "m")
	k.run(k.b, key("m"), failure)
	k.listed(all, "m", "z", "a")
	k.finish(x, success)
	k.listed(all, "m", "z", "a")
	k.release(c)

	k.get(k.a, key("a"))
	k.release(k.claim(k.b, key("a")))
	k.listed(all, "m", "z", "a")
	k.listed(ledger.Filter{Limit: 2}, "m", "z")
	k.listed(ledger.Filter{Limit: 3}, "m", "z", "a")
	k.listed(ledger.Filter{Limit: 100}, "m", "z", "a")
}

func listFilter(k *kit) {
	k.run(k.a, ledger.ID{Namespace: "prod", Key: "elsewhere", Window: "w"}, success)
	k.run(k.a, key("done"), success)
	k.run(k.a, key("broken"), failure)
	k.interrupt(k.a, key("stuck"))
	k.run(k.a, key("again"), failure)
	k.mark(k.a, key("again"), ledger.None)
	k.mark(k.a, key("by hand"), ledger.Failed)
	c := k.claim(k.a, key("busy"))
	k.begin(c)
	k.run(k.a, key("done too"), success)

	in := func(p ...ledger.Phase) ledger.Filter { return ledger.Filter{Namespace: "default", Phases: p} }
	k.listed(in(), "done too", "busy", "by hand", "again", "stuck", "broken", "done")
	k.listed(in(ledger.PhaseSucceeded), "done too", "done")
	k.listed(in(ledger.PhaseFailed), "by hand", "broken")
	k.listed(in(ledger.PhaseRunning), "busy")
	k.listed(in(ledger.PhaseInterrupted), "stuck")
	k.listed(in(ledger.PhaseRetry), "again")
	k.listed(ledger.Filter{Namespace: "prod"}, "elsewhere")
	k.listed(ledger.Filter{Namespace: "PROD"})
	k.listed(ledger.Filter{Namespace: "unused"})
	k.listed(ledger.Filter{Phases: ledger.Phases{ledger.PhaseSucceeded}}, "done too", "done", "elsewhere")

	// The limit counts the listed records, not the examined ones.
	k.listed(ledger.Filter{Phases: ledger.Phases{ledger.PhaseInterrupted}, Limit: 1}, "stuck")
	k.listed(ledger.Filter{Phases: ledger.Phases{ledger.PhaseSucceeded}, Globs: ledger.Globs{"e*"}, Limit: 1}, "elsewhere")
	k.listed(ledger.Filter{Namespace: "default", Phases: ledger.Phases{ledger.PhaseFailed}, Globs: ledger.Globs{"b*"}, Limit: 1}, "by hand")

	// A claimed key is alive, even before Begin.
	stuck := k.claim(k.b, key("stuck"))
	k.listed(in(ledger.PhaseInterrupted))
	k.listed(in(ledger.PhaseRunning), "busy", "stuck")
	k.release(stuck)
	k.release(c)
	k.listed(in(ledger.PhaseRunning))
	k.listed(in(ledger.PhaseInterrupted), "busy", "stuck")
}

func listGlob(k *kit) {
	// The list has the opposite order.
	for _, name := range []string{"Deploy:x", "🚀", "a%c", "abc", "deploy:b/2", "deploy:b", "deploy:a"} {
		k.run(k.a, key(name), success)
	}
	for glob, want := range map[ledger.Glob][]string{
		"*":          {"deploy:a", "deploy:b", "deploy:b/2", "abc", "a%c", "🚀", "Deploy:x"},
		"deploy:*":   {"deploy:a", "deploy:b", "deploy:b/2"},
		"deploy:b*":  {"deploy:b", "deploy:b/2"},
		"deploy:?":   {"deploy:a", "deploy:b"},
		"*/*":        {"deploy:b/2"},
		"a?c":        {"abc", "a%c"},
		"a%c":        {"a%c"},
		"?":          {"🚀"},
		"*:[ab]":     {"deploy:a", "deploy:b"},
		"*:[^a]":     {"deploy:b", "Deploy:x"},
		"[A-Z]*":     {"Deploy:x"},
		"deploy":     nil,
		"eploy*":     nil,
		"' or 1=1--": nil,
	} {
		k.Logf("glob %q", glob)
		k.listed(ledger.Filter{Globs: ledger.Globs{glob}}, want...)
	}
}

// listSeveral: a filter with several patterns or phases selects the keys of each, once.
func listSeveral(k *kit) {
	k.interrupt(k.a, key("deploy:a"))
	k.run(k.a, key("deploy:b"), failure)
	k.run(k.a, key("cron:a"), success)
	k.run(k.a, key("cron:b"), failure)
	k.mark(k.a, key("cron:b"), ledger.None)
	c := k.claim(k.a, key("other"))
	k.begin(c)

	with := func(globs ledger.Globs, phases ...ledger.Phase) ledger.Filter {
		return ledger.Filter{Namespace: "default", Globs: globs, Phases: phases}
	}
	k.listed(with(ledger.Globs{"deploy:*", "cron:*"}), "cron:b", "cron:a", "deploy:b", "deploy:a")
	k.listed(with(ledger.Globs{"*:a", "*:[ab]", "none"}), "cron:b", "cron:a", "deploy:b", "deploy:a")
	k.listed(with(ledger.Globs{"cron:a", "other"}), "other", "cron:a")
	k.listed(with(nil, ledger.PhaseFailed, ledger.PhaseInterrupted), "deploy:b", "deploy:a")
	k.listed(with(nil, ledger.PhaseInterrupted, ledger.PhaseRunning), "other", "deploy:a")
	k.listed(with(nil, ledger.PhaseRetry, ledger.PhaseSucceeded, ledger.PhaseRetry), "cron:b", "cron:a")
	k.listed(with(ledger.Globs{"*:b"}, ledger.PhaseRetry, ledger.PhaseFailed), "cron:b", "deploy:b")
	many := ledger.Globs{"deploy:a"}
	for i := range 1000 {
		many = append(many, ledger.Glob(fmt.Sprint("none", i)))
	}
	k.listed(with(append(many, "cron:?")), "cron:b", "cron:a", "deploy:a")
	k.release(c)
}

// listTimes: Since and Until select by the start of the latest attempt or mark. A record
// that began at Since is listed, and one that began at Until is not.
func listTimes(k *kit) {
	var starts []time.Time
	for _, name := range []string{"a", "b", "c"} {
		k.run(k.a, key(name), success)
		starts = append(starts, k.get(k.a, key(name)).Current.Started)
		for !time.Now().After(starts[len(starts)-1].Add(time.Millisecond)) { // the next one is later
			time.Sleep(time.Millisecond)
		}
	}
	const tick = time.Nanosecond
	k.listed(ledger.Filter{Since: starts[1]}, "c", "b")
	k.listed(ledger.Filter{Since: starts[1].Add(tick)}, "c")
	k.listed(ledger.Filter{Until: starts[1]}, "a")
	k.listed(ledger.Filter{Until: starts[1].Add(tick)}, "b", "a")
	k.listed(ledger.Filter{Since: starts[0].Add(tick), Until: starts[2]}, "b")
	k.listed(ledger.Filter{Since: starts[2].Add(tick)})
	k.listed(ledger.Filter{Until: starts[0]})
	k.listed(ledger.Filter{Since: starts[0], Limit: 2}, "c", "b")

	k.mark(k.b, key("a"), ledger.None)
	k.listed(ledger.Filter{Since: starts[2].Add(tick)}, "a")
	k.listed(ledger.Filter{Until: starts[1]})
}

// listKey: Filter.Key selects exactly this key in all its windows, whatever characters it
// has.
func listKey(k *kit) {
	odd := ledger.ID{Namespace: "default", Key: "[a*]?"}
	windows := []string{"2026-11-20", "2026-11-22", "2026-11-21"}
	for _, w := range windows {
		odd.Window = w
		k.run(k.a, odd, success)
	}
	for _, name := range []string{"a", "[a*]?x", "x[a*]?", "[a*]", "a?"} {
		k.run(k.a, key(name), success)
	}
	k.run(k.a, ledger.ID{Namespace: "prod", Key: odd.Key}, failure)

	in := ledger.Filter{Namespace: "default", Key: odd.Key}
	k.listed(in, odd.Key, odd.Key, odd.Key)
	for i, r := range k.list(k.b, in) {
		k.same(r.ID.Window, windows[len(windows)-1-i], "window")
	}
	in.Limit = 1
	k.same(k.list(k.b, in)[0].ID.Window, "2026-11-21", "the latest window")
	k.listed(ledger.Filter{Key: odd.Key, Phases: ledger.Phases{ledger.PhaseFailed}}, odd.Key)
	k.listed(ledger.Filter{Key: odd.Key, Globs: ledger.Globs{"a*"}})
	k.listed(ledger.Filter{Key: "[b*]?"})
}

func listWithoutInputs(k *kit) {
	id := key("k")
	k.run(k.a, id, success)
	rs := k.list(k.b, ledger.Filter{})
	if len(rs) != 1 || rs[0].Current.Inputs != nil {
		k.Errorf("want one record without Inputs, got %+v", rs)
	}
	if len(k.get(k.b, id).Current.Inputs) == 0 {
		k.Error("Get does not fill Inputs")
	}
}

func forgottenIsNotListed(k *kit) {
	for _, name := range []string{"kept", "dropped"} {
		k.run(k.a, key(name), success)
	}
	k.ok(k.a.Forget(k.ctx, key("dropped")), "Forget")
	k.listed(ledger.Filter{}, "kept")
	k.listed(ledger.Filter{Phases: ledger.Phases{ledger.PhaseNone}})

	k.run(k.b, key("dropped"), success)
	k.listed(ledger.Filter{}, "dropped", "kept")
}
