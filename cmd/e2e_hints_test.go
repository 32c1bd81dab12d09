package cmd_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"idem/internal/testkit"
)

// hintKey is a key that is hard to paste.
const hintKey = `-a 'b' "c" *?[x] $HOME \n`

// hintPlace is one way to select a record: by flags, by the environment, or by
// both where they contradict each other.
type hintPlace struct {
	way    string
	sets   []string // WORK is the test's directory
	flags  []string // of the call
	ns     string
	window string // of the record; the decoys are in another window
}

var hintPlaces = []hintPlace{
	{"flags", nil, []string{"--ledger", "it's one/led ger", "--namespace", "prod team"}, "prod team", "2020"},
	{"environment", []string{"IDEM_LEDGER=WORK/it's one/led ger", "IDEM_NAMESPACE=prod team"}, nil, "prod team", "2020"},
	{"against", []string{"IDEM_LEDGER=WORK/two", "IDEM_NAMESPACE=prod team"}, []string{"--ledger", "it's one/led ger", "--namespace", "default"}, "default", "2020"},
	{"state", []string{"STATE_DIRECTORY=WORK/it's one"}, []string{"--namespace", "prod team"}, "prod team", "2020"},
	{"windowless", []string{"IDEM_LEDGER=WORK/it's one/led ger"}, nil, "default", ""},
}

// hintWorld has the record that a message is about, and decoys: records of the
// same key in another ledger, another namespace and other windows.
type hintWorld struct {
	*box
	hintPlace
	one, two string // the record's ledger, and another one
	key      string // of the record that the hints name; usually hintKey
}

func newHintWorld(t *testing.T, p hintPlace, bare bool) *hintWorld {
	t.Helper()
	w := &hintWorld{box: newBox(t), hintPlace: p, key: hintKey}
	w.one, w.two = filepath.Join(w.dir, "it's one", "led ger"), filepath.Join(w.dir, "two")
	if p.way == "state" {
		w.one = filepath.Join(w.dir, "it's one", "idem")
	}
	for _, dir := range []string{"it's one", "elsewhere"} {
		if err := os.Mkdir(w.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.env = slices.DeleteFunc(w.env, func(kv string) bool { return strings.HasPrefix(kv, "IDEM_LEDGER=") })
	for _, kv := range p.sets {
		w.env = append(w.env, strings.ReplaceAll(kv, "WORK", w.dir))
	}
	w.write("decoy", "decoy\n")
	other := "2021"
	if p.window == "2021" {
		other = "2022"
	}
	made := map[string]bool{}
	decoy := func(ledger, ns, window string) {
		if made[ledger+ns+"|"+window] {
			return
		}
		made[ledger+ns+"|"+window] = true
		w.wantStatus(w.run("mark", "done", "--ledger", ledger, "--namespace", ns, "--window", window, "--stdout-file", "decoy", "--", hintKey), 0)
	}
	otherNS := map[bool]string{true: "prod team", false: "default"}[p.ns == "default"]
	decoy(w.two, p.ns, p.window)
	decoy(w.two, "default", "")
	decoy(w.one, otherNS, p.window)
	decoy(w.one, otherNS, other)
	if !bare {
		decoy(w.one, p.ns, other)
		if p.window != "" {
			decoy(w.one, p.ns, "")
		}
	}
	return w
}

// call runs idem run for the record, with more flags.
func (w *hintWorld) call(args ...string) result {
	w.t.Helper()
	argv := append([]string{"run"}, w.flags...)
	if w.window != "" {
		argv = append(argv, "--per", "year", "--tz", "UTC", "--at", w.window+"-05-05")
	}
	return w.run(append(append(argv, "--key="+hintKey), args...)...)
}

// callInFull runs another command with all flags that name the record.
func (w *hintWorld) callInFull(words ...string) result {
	w.t.Helper()
	words = append(words, "--ledger", w.one, "--namespace", w.ns, "--window", w.window)
	if words[0] == "list" {
		return w.run(append(words, "--under="+w.key)...)
	}
	return w.run(append(words, "--", w.key)...)
}

// callAsUser runs another command with the record's flags and environment, as a
// user would.
func (w *hintWorld) callAsUser(words ...string) result {
	w.t.Helper()
	argv := append(words, w.flags...)
	return w.run(append(argv, "--", hintKey)...)
}

func (w *hintWorld) interrupt() {
	w.t.Helper()
	w.call("--", "sh", "-c", "echo target; kill -9 $PPID")
	w.waitState("interrupted")
}

// waitState waits until the record is in a state.
func (w *hintWorld) waitState(state string) {
	w.t.Helper()
	w.waitUntil("the record is "+state, func() bool {
		return strings.Contains(w.callInFull("show", "--json").out, `"state": "`+state+`"`)
	})
}

// snapshot returns all records of both ledgers, keyed by ledger, namespace and
// window.
func (w *hintWorld) snapshot() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, ledger := range []string{w.one, w.two} {
		c := w.start([]string{"idem", "list", "--json", "--ledger", ledger}, withoutIdem)
		var records []map[string]any
		if r := w.wantStatus(c.wait(), 0); json.Unmarshal([]byte(r.out), &records) != nil {
			w.t.Fatalf("list: got %s, want JSON", r.out)
		}
		for _, rec := range records {
			delete(rec, "age_seconds")
			b, _ := json.Marshal(rec)
			all[fmt.Sprintf("%s|%s|%s", ledger, rec["namespace"], rec["window"])] = string(b)
		}
	}
	return all
}

func (w *hintWorld) target() string { return fmt.Sprintf("%s|%s|%s", w.one, w.ns, w.window) }

// hintCommand matches a hint that ends in an idem command.
var hintCommand = regexp.MustCompile(`^idem: hint: (.*): (idem .*)$`)

// hintsOf returns the commands of a message's hints.
func hintsOf(t *testing.T, stderr string) []string {
	t.Helper()
	var commands []string
	for line := range strings.Lines(stderr) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "idem: hint: usage: ") {
			continue
		}
		if m := hintCommand.FindStringSubmatch(line); m != nil {
			commands = append(commands, m[2])
		}
		if strings.Count(line, ": idem ") > 1 {
			t.Errorf("got more than one command in %s, want one", line)
		}
	}
	return commands
}

// paste runs a command in a shell, in the environment of the call or in one
// without variables of idem.
func (w *hintWorld) paste(command string, empty bool) result {
	w.t.Helper()
	dir := func(c *exec.Cmd) { c.Dir = w.path("elsewhere") }
	if empty {
		return w.start([]string{"sh", "-c", command}, dir, withoutIdem).wait()
	}
	return w.start([]string{"sh", "-c", command}, dir).wait()
}

// hintCase prepares the record and causes a message whose hints contain
// commands. It returns the result of idem.
type hintCase struct {
	name  string
	place int  // index in hintPlaces
	bare  bool // the key has only a record in the window
	make  func(w *hintWorld) result
	hints int
}

var hintCases = []hintCase{
	{"failed before, with another command", 0, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--", "true")
	}, 1},
	{"interrupted, with another command", 1, false, func(w *hintWorld) result {
		w.interrupt()
		return w.call("--", "true")
	}, 3},
	{"interrupted", 2, false, func(w *hintWorld) result {
		w.interrupt()
		return w.call("--", "sh", "-c", "echo target; kill -9 $PPID")
	}, 4},
	{"interrupted, without a window", 4, false, func(w *hintWorld) result {
		w.interrupt()
		return w.call("--", "sh", "-c", "echo target; kill -9 $PPID")
	}, 4},
	{"waited for, interrupted", 3, false, func(w *hintWorld) result {
		w.interrupt()
		return w.callAsUser("wait", "--window", w.window)
	}, 4},
	{"waited for, failed", 0, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.callAsUser("wait", "--window", w.window)
	}, 1},
	{"the probe cannot tell", 1, false, func(w *hintWorld) result {
		return w.call("--probe-first", "--probe", "exit 2", "--", "true")
	}, 1},
	{"the probe cannot tell, without a window", 4, false, func(w *hintWorld) result {
		return w.call("--probe-first", "--probe", "exit 2", "--", "true")
	}, 1},
	{"the probe cannot tell about a timeout", 3, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--timeout", "0.1", "--", "sh", "-c", "echo target; exec sleep 60"), 124)
		return w.call("--probe-on", "timeout", "--probe", "exit 2", "--", "sh", "-c", "echo target; exec sleep 60")
	}, 3},
	{"cannot be verified", 4, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "echo", "target"), 0)
		return w.call("--verify", "exit 2", "--", "echo", "target")
	}, 1},
	{"too late", 0, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--rerun-within", "1ms", "--", "sh", "-c", "echo target; exit 1")
	}, 3},
	{"not again after a failure", 2, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--on-failure", "refuse", "--", "sh", "-c", "echo target; exit 1")
	}, 2},
	{"no attempt left", 3, false, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "sh", "-c", "echo target; exit 1"), 1)
		return w.call("--max-attempts", "1", "--", "sh", "-c", "echo target; exit 1")
	}, 2},
	{"unrecorded", 0, false, func(w *hintWorld) result {
		return w.call("--tty", "--", "sh", "-c", `trap "" HUP; echo target; kill -9 $PPID; exit 3`)
	}, 4},
	{"output that did not arrive", 1, false, func(w *hintWorld) result {
		return w.callToFullDisk("--force", "--", "echo", "target")
	}, 1},
	{"cut output that did not arrive", 2, false, func(w *hintWorld) result {
		return w.callToFullDisk("--max-output", "100", "--", "seq", "1", "1000")
	}, 1},
	{"forget, which window", 2, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		return w.callAsUser("forget")
	}, 3},
	{"token, which window", 3, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		return w.callAsUser("token")
	}, 3},
	{"mark, which window", 0, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		w.wantStatus(w.callInFull("mark", "retry", "--force"), 0)
		return w.callAsUser("mark", "failed")
	}, 3},
	{"wait, which window", 1, true, func(w *hintWorld) result {
		w.window = thisYear(w)
		return w.callAsUser("wait")
	}, 3},
	{"nothing is recorded there", 1, true, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "echo", "target"), 0)
		w.forgetDecoys("default")
		return w.callAsUser("show", "--namespace", "third")
	}, 1},
	{"nothing is recorded, but steps", 4, true, func(w *hintWorld) result {
		w.wantStatus(w.step(hintKey, "child", "echo", "target").wait(), 0)
		w.forgetDecoys("prod team")
		return w.callAsUser("show", "--window", "")
	}, 1},
	{"nothing is recorded, but a similar key is", 4, true, func(w *hintWorld) result {
		w.wantStatus(w.call("--", "echo", "target"), 0)
		w.forgetDecoys("prod team")
		return w.run("show", "--", hintKey+"x")
	}, 1},
	{"nothing is recorded, but a step is called so", 4, true, func(w *hintWorld) result {
		w.key = "it's/a step"
		w.wantStatus(w.step("it's", "a step", "echo", "target").wait(), 0)
		return w.run("show", "--ledger", w.one, "a step")
	}, 1},
	{"a step is held", 1, false, func(w *hintWorld) result {
		w.key = hintKey + "/child"
		run := w.step(hintKey, "child", "sh", "-c", "echo target; echo x >running; until [ -e go ]; do sleep 0.01; done")
		w.waitLines("running", 1)
		r := w.run("forget", "--ledger", w.one, "--namespace", w.ns, "--window", w.window, "--under="+hintKey)
		w.write("go", "")
		w.wantStatus(run.wait(), 0)
		return r
	}, 1},
	{"held", 2, false, func(w *hintWorld) result {
		argv := append(append([]string{"run"}, w.flags...), "--per", "year", "--tz", "UTC", "--at", w.window+"-05-05", "--key="+hintKey)
		run := w.idem(append(argv, "--", "sh", "-c", "echo target; echo x >running; until [ -e go ]; do sleep 0.01; done")...)
		w.waitLines("running", 1)
		r := w.callAsUser("forget", "--window", w.window)
		w.write("go", "")
		w.wantStatus(run.wait(), 0)
		return r
	}, 1},
}

// TestHints pastes every command of every hint into a shell. The command must
// act on the record that the message is about, and on no other.
func TestHints(t *testing.T) {
	testkit.Slow(t, "every command of every hint is run")
	var mu sync.Mutex
	var printed []string
	t.Run("case", func(t *testing.T) {
		for _, c := range slices.Concat(hintCases, familyHintCases) {
			t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				w := newHintWorld(t, hintPlaces[c.place], c.bare)
				r := c.make(w)
				commands := hintsOf(t, r.err)
				if len(commands) != c.hints {
					t.Fatalf("got %d commands, want %d, in\n%s", len(commands), c.hints, r.err)
				}
				mu.Lock()
				printed = append(printed, r.err)
				mu.Unlock()
				for i := range commands {
					// All commands of a message name the record in the same way, so only
					// the first one is pasted in both environments.
					for _, empty := range []bool{true, false}[:max(1, 2-i)] {
						if i > 0 || !empty { // the previous command has changed the record
							w = newHintWorld(t, hintPlaces[c.place], c.bare)
							commands = hintsOf(t, c.make(w).err)
						}
						w.checkPaste(commands[i], empty)
					}
				}
			})
		}
	})
	all := strings.Join(printed, "")
	for site, text := range hintSites(t) {
		if !strings.Contains(all, text) {
			t.Errorf("%s: got no case that prints the hint %q, want one", site, text)
		}
	}
}

// checkPaste checks that a command of a hint acts on the right record only.
func (w *hintWorld) checkPaste(command string, empty bool) {
	w.t.Helper()
	if !strings.Contains(command, " --ledger ") { // without it, the command would act on a ledger of this machine
		w.t.Fatalf("got %s, want a command with --ledger", command)
	}
	before := w.snapshot()
	r := w.paste(command, empty)
	after := w.snapshot()
	name := strings.Fields(command)[1]
	switch name {
	case "forget", "mark":
		w.wantStatus(r, 0)
		var changed []string
		for id := range merged(before, after) {
			if before[id] != after[id] {
				changed = append(changed, id)
			}
		}
		if !slices.Equal(changed, []string{w.target()}) {
			w.t.Errorf("%s: got changes of %q, want %q", command, changed, w.target())
		}
	default:
		words := []string{name}
		for _, choice := range []string{"--failed", "--interrupted"} {
			if strings.Contains(command, " "+choice+" ") {
				words = append(words, choice)
			}
		}
		want := w.callInFull(words...)
		if r.out != want.out || r.err != want.err || r.code != want.code || r.code == 64 || !maps.Equal(before, after) {
			w.t.Errorf("%s: got status %d and\n%s%swant %d and\n%s%s", command, r.code, r.out, r.err, want.code, want.out, want.err)
		}
	}
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
