package ledgertest

import "idem/ledger"

var keyCases = []testCase{
	{"NextKey", nextKey, offers[ledger.Ordered]},
	{"Namespaces", namespacesOf, offers[ledger.Ordered]},
}

// nextKey: keys are found in the order of their bytes, each once, whatever windows it has.
func nextKey(k *kit) {
	for _, name := range []string{"b", "a:2", "a/1", "a", "é", "a:1", "A", "gone"} {
		k.run(k.a, key(name), success)
	}
	for _, window := range []string{"2026-11-21", "2026-11-22"} {
		k.run(k.b, ledger.ID{Namespace: "default", Key: "a:1", Window: window}, failure)
	}
	k.run(k.a, ledger.ID{Namespace: "other", Key: "a:0"}, success)
	k.mark(k.a, key("never ran"), ledger.Succeeded)
	k.ok(k.a.Forget(k.ctx, key("gone")), "Forget")
	k.get(k.b, key("c"))

	for _, l := range []ledger.Ledger{k.a, k.b} {
		ordered := l.(ledger.Ordered)
		var got []string
		for from := ""; ; {
			next, err := ordered.NextKey(k.ctx, "default", from, "\xff")
			if k.ok(err, "NextKey"); next == "" {
				break
			}
			got, from = append(got, next), next+"\x00"
		}
		k.same(got, []string{"A", "a", "a/1", "a:1", "a:2", "b", "never ran", "é"}, "keys")
		for _, c := range []struct{ namespace, from, before, want string }{
			{"default", "a:", "a;", "a:1"},
			{"default", "a:1", "a;", "a:1"},
			{"default", "a:1\x00", "a:2", ""},
			{"default", "b\x00", "c", ""},
			{"default", "", "A", ""},
			{"other", "", "\xff", "a:0"},
			{"unused", "", "\xff", ""},
		} {
			got, err := ordered.NextKey(k.ctx, c.namespace, c.from, c.before)
			k.ok(err, "NextKey")
			k.same(got, c.want, "key from "+c.from+" before "+c.before)
		}
	}
}

func namespacesOf(k *kit) {
	names := func() []string {
		all, err := k.b.(ledger.Ordered).Namespaces(k.ctx)
		k.ok(err, "Namespaces")
		return all
	}
	k.same(len(names()), 0, "namespaces of an empty ledger")
	for _, name := range []string{"prod", "default", "PROD", "prod"} {
		k.run(k.a, ledger.ID{Namespace: name, Key: "k"}, success)
	}
	k.same(names(), []string{"PROD", "default", "prod"}, "namespaces")
}
