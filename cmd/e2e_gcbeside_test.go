package cmd_test

import (
	"slices"
	"strings"
	"testing"
)

// effectOf is a command with an output in a file. It logs its token.
const effectOf = `echo $IDEM_TOKEN >>side; head -c 50000 /dev/zero`

// gcMeets is a box with one key, which idem gc and other calls use at the same time.
type gcMeets struct{ *box }

// call returns the arguments of a run of the key.
func (b *gcMeets) call(flags ...string) []string {
	return slices.Concat([]string{"run", "--key", "k"}, flags, []string{"--", "sh", "-c", effectOf})
}

var (
	gcKeys    = []string{"gc", "--json", "--keys-older-than", "0", "k*"}
	gcOutputs = []string{"gc", "--json", gcAll}
)

// wantRemoved checks how many records and outputs a call of idem gc has removed.
func wantRemoved(t *testing.T, r result, records, outputs int) {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("idem gc: got %+v", r)
	}
	if got := gcCountsOf(t, r.out); got.Removed["records"] != records || got.Removed["outputs"] != outputs {
		t.Errorf("idem gc: got %v removed, want %d records and %d outputs", got.Removed, records, outputs)
	}
}

// wantEffects checks how many effects there were, and how many tokens they had in turn.
func (b *gcMeets) wantEffects(n, tokens int) {
	b.t.Helper()
	all := strings.Fields(b.read("side"))
	if turns := slices.Compact(slices.Clone(all)); len(all) != n || len(turns) != tokens {
		b.t.Errorf("got the tokens %v, want %d effects with %d tokens", all, n, tokens)
	}
	slices.Sort(all)
	if len(slices.Compact(all)) != tokens {
		b.t.Errorf("a token has come back: %v", b.read("side"))
	}
}

// wantOutputGone checks that a replay has no output, and says why.
func (b *gcMeets) wantOutputGone() {
	b.t.Helper()
	if r := b.wantStatus(b.run(b.call()...), 0); r.out != "" || !strings.Contains(r.err, "was removed") {
		b.t.Errorf("got %d bytes and %q, want no output because it was removed", len(r.out), r.err)
	}
}

// forgottenAt returns a test in which the key is forgotten while a call of idem gc is at a point. The call
// then removes some outputs, and no record.
func forgottenAt(point string, args []string, outputs int) func(*testing.T, *gcMeets) {
	return func(t *testing.T, b *gcMeets) {
		gc := b.pauseAt(point, args...)
		b.wantStatus(b.run("forget", "k"), 0)
		wantRemoved(t, gc.resume(), 0, outputs)
		b.wantStatus(b.run(b.call()...), 0)
		b.wantEffects(2, 2)
	}
}

// idem gc stops at each point, while another call begins, finishes or forgets the same key, and the other way
// round. A changed key is never forgotten, and one that is forgotten has a new token.
func TestE2EGCBesideACall(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(t *testing.T, b *gcMeets){
		"run by force between plan and removal": func(t *testing.T, b *gcMeets) {
			gc := b.pauseAt("claim.before", gcKeys...)
			b.wantStatus(b.run(b.call("--force")...), 0)
			wantRemoved(t, gc.resume(), 0, 0)
			b.wantStatus(b.run(b.call("--exact")...), 0)
			b.wantEffects(2, 1)
		},
		"running at the removal": func(t *testing.T, b *gcMeets) {
			gc := b.pauseAt("claim.before", gcKeys...)
			holder := b.idem("run", "--key", "k", "--force", "--on-mismatch", "rerun", "--", "sh", "-c", "echo $IDEM_TOKEN >>side; until test -e go; do sleep 0.05; done; echo out")
			b.waitLines("side", 2)
			wantRemoved(t, gc.resume(), 0, 0)
			wantRemoved(t, b.run(append(gcKeys, gcAll)...), 0, 0)
			b.write("go", "")
			b.wantStatus(holder.wait(), 0)
			if r := b.wantStatus(b.run("logs", "k"), 0); r.out != "out\n" {
				t.Errorf("got %q", r.out)
			}
			b.wantEffects(2, 1)
		},
		"forgotten and run between plan and removal": func(t *testing.T, b *gcMeets) {
			gc := b.pauseAt("claim.before", gcKeys...)
			b.wantStatus(b.run("forget", "k"), 0)
			b.wantStatus(b.run(b.call()...), 0)
			wantRemoved(t, gc.resume(), 0, 0)
			b.wantStatus(b.run(b.call("--exact")...), 0)
			b.wantEffects(2, 2)
		},
		"forgotten between plan and removal": forgottenAt("claim.before", gcKeys, 0),
		"marked between plan and removal": func(t *testing.T, b *gcMeets) {
			gc := b.pauseAt("claim.before", gcKeys...)
			b.wantStatus(b.run("mark", "failed", "--force", "k"), 0)
			wantRemoved(t, gc.resume(), 0, 0)
			b.wantState("k", "failed")
		},
		"calls while gc has the claim": func(t *testing.T, b *gcMeets) {
			gc := b.pauseAt("claim.taken", gcKeys...)
			b.wantStatus(b.run(b.call("--exact")...), 0)
			b.wantStatus(b.run(b.call("--force")...), 75)
			b.wantStatus(b.run("forget", "k"), 75)
			b.wantStatus(b.run("mark", "failed", "--force", "k"), 75)
			wantRemoved(t, b.run(gcKeys...), 0, 0)
			wantRemoved(t, gc.resume(), 1, 0)
			b.wantStatus(b.run(b.call()...), 0)
			b.wantEffects(2, 2)
		},
		"call after the commit of gc": func(t *testing.T, b *gcMeets) {
			gc := b.pauseAt("forget.spools", gcKeys...)
			b.wantStatus(b.run(b.call()...), 75)
			waits := b.idem(b.call("--wait")...)
			wantRemoved(t, gc.resume(), 1, 0)
			b.wantStatus(waits.wait(), 0)
			b.wantStatus(b.run(b.call("--exact")...), 0)
			b.wantEffects(2, 2)
		},
		"output replaced before its file goes": func(t *testing.T, b *gcMeets) {
			gc := b.pauseAt("collect.committed", gcOutputs...)
			b.wantOutputGone()
			b.wantStatus(b.run(b.call("--force")...), 0)
			wantRemoved(t, gc.resume(), 0, 1)
			if r := b.wantStatus(b.run(b.call("--exact")...), 0); len(r.out) != 50000 {
				t.Errorf("got %d bytes", len(r.out))
			}
			b.wantEffects(2, 1)
		},
		"forgotten before the file goes": forgottenAt("collect.committed", gcOutputs, 1),
		"gc before the claim of a run by force": func(t *testing.T, b *gcMeets) {
			call := b.pauseAt("claim.before", b.call("--force")...)
			wantRemoved(t, b.run(gcKeys...), 1, 0)
			b.wantStatus(call.resume(), 0)
			b.wantStatus(b.run(b.call("--exact")...), 0)
			b.wantEffects(2, 2)
		},
		"gc before the end of a claim": func(t *testing.T, b *gcMeets) {
			call := b.pauseAt("release.before", b.call("--force")...)
			wantRemoved(t, b.run(append(gcKeys, gcAll)...), 0, 0) // the output was to go with its key, which is held
			wantRemoved(t, b.run(gcOutputs...), 0, 2)
			b.wantStatus(call.resume(), 0)
			b.wantOutputGone()
			b.wantEffects(2, 1)
		},
		"gc beside forget": func(t *testing.T, b *gcMeets) {
			call := b.pauseAt("claim.taken", "forget", "k")
			wantRemoved(t, b.run(gcKeys...), 0, 0)
			b.wantStatus(call.resume(), 0)
			b.wantStatus(b.run(b.call()...), 0)
			b.wantEffects(2, 2)
		},
		"gc beside a committed forget": func(t *testing.T, b *gcMeets) {
			call := b.pauseAt("forget.spools", "forget", "k")
			wantRemoved(t, b.run(append(gcKeys, gcAll)...), 0, 0)
			b.wantStatus(call.resume(), 0)
			b.wantStatus(b.run(b.call()...), 0)
			b.wantEffects(2, 2)
		},
		"gc beside a mark": func(t *testing.T, b *gcMeets) {
			call := b.pauseAt("claim.taken", "mark", "retry", "--force", "k")
			wantRemoved(t, b.run(gcKeys...), 0, 0)
			b.wantStatus(call.resume(), 0)
			b.wantState("k", "retry")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &gcMeets{newBox(t)}
			b.wantStatus(b.run(b.call()...), 0)
			f(t, b)
			b.wantStatus(b.run("ledger", "check"), 0)
		})
	}
	// A run that has begun, at each point until its outcome is recorded.
	for _, point := range []string{"begin.life", "begin.done", "fork.before", "finish.before", "finish.output"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			b := &gcMeets{newBox(t)}
			b.wantStatus(b.run(b.call()...), 0)
			call := b.pauseAt(point, b.call("--force")...)
			wantRemoved(t, b.run(gcKeys...), 0, 0)
			wantRemoved(t, b.run(append(gcKeys, "--superseded-older-than", "0", gcAll)...), 0, 0)
			if r := b.wantStatus(call.resume(), 0); len(r.out) != 50000 {
				t.Errorf("got %d bytes", len(r.out))
			}
			if r := b.wantStatus(b.run(b.call("--exact")...), 0); len(r.out) != 50000 {
				t.Errorf("got %d bytes", len(r.out))
			}
			b.wantEffects(2, 1)
			b.wantStatus(b.run("ledger", "check"), 0)
		})
	}
}
