package cmd_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"idem/cmd"
	"idem/internal/testkit"
)

// stepRecipe is a script of steps in docs/recipes.md.
type stepRecipe struct {
	run     string // the call of the script
	effects string // the lines that its tools add to the file effects, in order
	sorted  bool   // the order of effects is not fixed, so they are compared in sorted order
	out     string
	prepare func(*recipeBox) // writes the tools
	check   func(*recipeBox) // checks the effects in another way; nil: nothing else
}

// tool writes a tool that adds its name and its arguments to the file effects, and then
// runs more.
func (k *recipeBox) tool(name, more string) {
	k.script(name, fmt.Sprintf("echo \"%s $*\" | sed 's/ *$//' >>\"$AT/effects\"\n%s", strings.TrimSuffix(name, ".sh"), more))
}

func (k *recipeBox) tools(names ...string) {
	for _, name := range names {
		k.tool(name, "")
	}
}

// resumes runs the script of a recipe once through. Then it kills the script and its run
// after each step in turn, and calls it again: each effect is there once, in its order.
func (s stepRecipe) resumes(blocks []block, t *testing.T) {
	steps := 1
	for kill := 0; kill <= steps; kill++ {
		k := newRecipeBox(t, blocks)
		k.setenv("AT", k.dir)
		for _, b := range blocks {
			if b.file != "" {
				k.script(b.file, b.text)
			}
		}
		s.prepare(k)
		real := strings.TrimSpace(k.wantStatus(k.sh("command -v idem"), 0).out)
		k.write("killat", fmt.Sprint(kill))
		k.script("idem", fmt.Sprintf(`%s "$@"; s=$?
case $1 in step | each) ;; *) exit $s ;; esac
echo x >>"$AT/steps"
if [ $(grep -c x "$AT/steps") = $(cat "$AT/killat") ] && [ ! -e "$AT/killed" ]; then touch "$AT/killed"; kill -9 0; fi
exit $s`, real))
		r := k.start([]string{"setsid", "-w", "bash", "-u", "-c", s.run}).wait()
		if kill > 0 {
			if _, err := os.Stat(k.path("killed")); err != nil {
				t.Fatalf("step %d: got no kill, want one", kill)
			}
			k.waitUntil("the killed processes are gone", func() bool { // until then, the key is busy
				r = k.runRecipe(s.run)
				return r.code != 75 && !strings.Contains(r.err, "is running") // --exit-code running=0
			})
		}
		k.wantStatus(r, 0)
		got := k.read("effects")
		if s.sorted {
			got = strings.Join(slices.Sorted(strings.Lines(got)), "")
		}
		if got != s.effects {
			t.Errorf("killed after step %d: got the effects\n%swant\n%s", kill, got, s.effects)
		}
		if r.out != s.out {
			t.Errorf("killed after step %d: got the output %q, want %q", kill, r.out, s.out)
		}
		before := k.read("effects")
		k.wantStatus(k.runRecipe(s.run), 0)
		if got := k.read("effects"); got != before {
			t.Errorf("called again: got the effects\n%swant\n%s", got, before)
		}
		if s.check != nil {
			s.check(k)
		}
		if kill == 0 {
			steps = strings.Count(k.read("steps"), "x")
		}
	}
}

// recipe returns the check of the section of the recipe.
func (s stepRecipe) recipe(k *recipeBox) {
	testkit.Slow(k.t, "the script is killed after each of its steps")
	blocks := k.left
	k.left = nil
	s.resumes(blocks, k.t)
}

var deploySteps = stepRecipe{
	run: `./deploy-steps.sh 8471`,
	effects: `build
push
migrate sha256:1
roll a sha256:1
roll b sha256:1
smoke
announce deployed sha256:1
`,
	prepare: func(k *recipeBox) {
		k.tools("build.sh", "migrate.sh", "migrated.sh", "roll.sh", "smoke.sh", "announce.sh")
		k.tool("push.sh", "echo sha256:1")
		k.write("hosts.txt", "a\nb\n")
	},
}

var orderSteps = stepRecipe{
	run:     `./order.sh 7`,
	effects: "charge 7\nreserve 7\nship 7\nmail 7 ch_1\n",
	prepare: func(k *recipeBox) {
		k.tool("charge.sh", "echo ch_1")
		k.tools("reserve.sh", "ship.sh", "mail.sh", "refund.sh")
	},
}

// recipeOrder also checks orders that fail: a refusal is refunded once, an unknown end is not.
func recipeOrder(k *recipeBox) {
	orderSteps.recipe(&recipeBox{box: k.box, left: k.left})
	order := k.nextBlock("sh")
	k.setenv("AT", k.dir)
	k.script(order.file, order.text)
	orderSteps.prepare(k)
	k.tool("ship.sh", "exit 1")
	for range 2 {
		k.wantStatus(k.runRecipe("./order.sh 7"), 9)
	}
	if got, want := k.read("effects"), "charge 7\nreserve 7\nship 7\nrefund ch_1\n"; got != want {
		k.t.Errorf("an order that is not shipped: got\n%swant\n%s", got, want)
	}
	// A cancelled order is not shipped, even if its refund fails at first.
	k.write("effects", "")
	k.tool("refund.sh", "exit 3")
	k.wantStatus(k.runRecipe("./order.sh 8"), 3)
	k.tools("ship.sh", "refund.sh")
	k.wantStatus(k.runRecipe("./order.sh 8"), 9)
	if got, want := k.read("effects"), "charge 8\nreserve 8\nship 8\nrefund ch_1\nrefund ch_1\n"; got != want {
		k.t.Errorf("a refund that fails: got\n%swant\n%s", got, want)
	}
	// A shipment that may be on its way is not refunded.
	k.write("effects", "")
	k.tool("ship.sh", "kill -9 $PPID $$")
	k.runRecipe("./order.sh 9")
	k.wantStatus(k.runRecipe("./order.sh 9"), 79)
	if got, want := k.read("effects"), "charge 9\nreserve 9\nship 9\n"; got != want {
		k.t.Errorf("an unknown shipment: got\n%swant\n%s", got, want)
	}
}

var certSteps = stepRecipe{
	run:     `./cert.sh`,
	effects: "certbot certonly -n -d example.org\ninstall a\ninstall b\nssh -o BatchMode=yes a systemctl reload nginx\nssh -o BatchMode=yes b systemctl reload nginx\n",
	prepare: func(k *recipeBox) {
		k.tools("certbot", "install.sh", "ssh")
		k.write("balancers.txt", "a\nb\n")
	},
}

// recipeOffboard runs the batch, in which one user fails at first, and kills it within an item.
func recipeOffboard(k *recipeBox) {
	list, script, batch := k.nextBlock("csv"), k.nextBlock("sh"), k.nextBlock("sh").text
	k.write(list.file, list.text)
	k.script(script.file, script.text)
	k.setenv("AT", k.dir)
	k.tools("disable.sh", "licences.sh")
	k.tool("archive.sh", `[ "$1" != u1@example.org ] || [ -e ok ]`)
	k.wantStatus(k.runRecipe(batch), 123)
	k.write("ok", "")
	k.tool("licences.sh", `[ "$1" != u1 ] || [ -e died ] || { touch died; kill -9 $PPID $$; }`)
	k.wantStatus(k.runRecipe(batch), 123) // the idem of the step is killed, so the script fails
	k.wantStatus(k.runRecipe(batch), 123) // the step is interrupted
	k.wantStatus(k.sh("idem mark done --stdout-file /dev/null offboard-2026-11/u1/licences"), 0)
	for range 2 {
		k.wantStatus(k.runRecipe(batch), 0)
	}
	want := "disable u1\narchive u1@example.org\ndisable u2\narchive u2@example.org\nlicences u2\narchive u1@example.org\nlicences u1\n"
	if got := k.read("effects"); got != want {
		k.t.Errorf("got the effects\n%swant\n%s", got, want)
	}
}

var loadSteps = stepRecipe{
	run:     `./load-day.sh 2026-11-27`,
	effects: "list 2026-11-27\nload a\nload b\nload c\npublish-day 2026-11-27\n",
	sorted:  true,
	prepare: func(k *recipeBox) {
		k.tool("list.sh", `printf '%s\n' a b c`)
		k.tools("load.sh", "publish-day.sh")
	},
}

var releaseSteps = stepRecipe{
	run:     `./release.sh 1.2`,
	effects: "git push -q origin v1.2\ndist 1.2\npublish npm 1.2\npublish pypi 1.2\npublish ghcr 1.2\nnotes v1.2\n",
	out:     "notes\n",
	prepare: func(k *recipeBox) {
		k.setenv("GH_TOKEN", "hunter22")
		k.tools("git", "publish.sh")
		k.tool("dist.sh", `mkdir -p dist; echo "$1" >dist/idem`)
		k.tool("notes.sh", "echo notes")
	},
}

var reportSteps = stepRecipe{
	run:     `./report.sh`,
	effects: "query\nsend a@example.org rows 1\nsend b@example.org rows 1\n",
	prepare: func(k *recipeBox) {
		k.tool("query.sh", `echo "rows $(grep -c query "$AT/effects")"`)
		k.tools("send.sh")
		k.write("recipients.txt", "a@example.org\nb@example.org\n")
	},
}

// The script of idem help scripts does what the page says.
func TestHelpScripts(t *testing.T) {
	testkit.Slow(t, "the script is killed after each of its steps")
	stepRecipe{
		run: "./deploy.sh 1", effects: "make release\npush\nannounce deployed sha256:1\n",
		prepare: func(k *recipeBox) {
			k.tools("make", "announce.sh")
			k.tool("push.sh", "echo sha256:1")
		},
	}.resumes([]block{{lang: "sh", file: "deploy.sh", text: cmd.ScriptLines()}}, t)
}

// The batch of idem help batches has the effects of the loop, and goes on after a kill where
// the loop would begin again.
func TestHelpBatches(t *testing.T) {
	loop, batch := cmd.BatchLines()
	const sent = "send-mail a b@example.org\nsend-mail \"c\"@example.org\nsend-mail d@example.org\n"
	for _, line := range []string{loop, batch} {
		k := newRecipeBox(t, nil)
		k.setenv("AT", k.dir)
		k.tools("send-mail")
		k.write("addresses.txt", "a b@example.org\n\"c\"@example.org\nd@example.org\n")
		k.wantStatus(k.sh(line), 0)
		if got := k.read("effects"); got != sent {
			t.Errorf("%s: got %q, want %q", line, got, sent)
		}
	}
	k := newRecipeBox(t, nil)
	k.setenv("AT", k.dir)
	k.tool("send-mail", `[ ! -e die ] || { rm die; kill -9 "$PPID"; }`)
	k.write("addresses.txt", "a b@example.org\n\"c\"@example.org\nd@example.org\n")
	k.write("die", "")
	if r := k.sh(batch); r.code == 0 {
		t.Fatalf("got %+v, want a call that is killed", r)
	}
	k.wantStatus(k.sh(strings.Replace(batch, "--key", "--on-interrupted rerun --key", 1)), 0)
	if got, want := k.read("effects"), "send-mail a b@example.org\n"+sent; got != want {
		t.Errorf("after a kill: got %q, want %q", got, want)
	}
	k.wantStatus(k.sh(batch), 0)
	k.wantLines("effects", 4)
}
