package cmd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// agentBox is a directory with the scripts of docs/agents.md, in which an agent makes calls.
type agentBox struct {
	*recipeBox
	probe string // the script of its PROBE
}

func newAgentBox(t *testing.T) *agentBox {
	k := &agentBox{recipeBox: newRecipeBox(t, readBlocks(t, "../docs/agents.md"))}
	once, probe, text := k.nextBlock("sh"), k.nextBlock("sh"), k.nextBlock("text")
	if len(k.left) > 0 || !strings.Contains(text.text, "./"+once.file) {
		t.Fatalf("got the blocks %+v, want two scripts and instructions to use the first", k.left)
	}
	k.script(once.file, once.text)
	k.probe = k.script(probe.file, probe.text)
	// The effect is a line in a file, by which the probe finds it.
	k.script("pay.sh", `echo "$IDEM_TOKEN" >>"paid-$1"; echo $PPID >pid; [ -z "${2-}" ] || until [ -e "$2" ]; do sleep 0.01; done; echo "paid $1"`)
	return k
}

// agentAnswer is what an agent reads in the file of an answer.
type agentAnswer struct {
	Action, Reason string
	EndReason      string `json:"end_reason"`
	ExitCode       int    `json:"exit_code"`
}

func (k *agentBox) answerOf(id string) (got agentAnswer) {
	k.t.Helper()
	if err := json.Unmarshal([]byte(k.read("answer-"+id+".json")), &got); err != nil {
		k.t.Fatal(err)
	}
	return got
}

// wantAnswer checks the answer about an id, and that its effect happened once.
func (k *agentBox) wantAnswer(id, action, reason string) {
	k.t.Helper()
	if got := k.answerOf(id); got.Action != action || got.Reason != reason {
		k.t.Errorf("%s: got %+v, want %s because of %s", id, got, action, reason)
	}
	k.wantLines("paid-"+id, 1)
}

// dieOnce makes the next call of idem end by kill -9 after it has recorded an event.
func (k *agentBox) dieOnce(event string) {
	real := filepath.Join(binary(), "idem")
	k.script("idem", `[ "$1" = run ] && [ ! -e died ] || exec `+real+` "$@"; touch died; shift; exec `+real+` run --hook '`+event+`=kill -9 $PPID' "$@"`)
	k.t.Cleanup(func() {
		if _, err := os.Stat(k.path("died")); err != nil {
			k.t.Error("got no call that died, want one")
		}
	})
}

// TestAgentsPage makes the calls of docs/agents.md as an agent does. It loses an answer, a signal
// ends its call, and a kill -9 ends another one. The same call follows each time, and each effect
// happens once.
func TestAgentsPage(t *testing.T) {
	t.Parallel()
	k := newAgentBox(t)
	call := func(id, args string) string {
		return "./once.sh " + id + ` 'grep -q "$IDEM_TOKEN" paid-` + id + ` && echo found' ./pay.sh ` + id + " " + args
	}

	// The answer is lost: idem dies after the outcome is recorded, and before it is told.
	k.dieOnce("success")
	if r := k.wantStatus(k.runRecipe(call("lost", "")), 0); r.out != "paid lost\npaid lost\n" {
		t.Errorf("got %+v, want the output of the run and that of its replay", r)
	}
	k.wantAnswer("lost", "replayed", "succeeded")
	if err := os.Remove(k.path("idem")); err != nil {
		t.Fatal(err)
	}

	// The harness ends a call that takes long.
	first := k.startRecipe(call("slow", "never"))
	k.waitLines("paid-slow", 1)
	k.waitLines("pid", 1)
	k.wantStatus(k.sh("kill $(cat pid)"), 0)
	k.wantStatus(first.wait(), 143)
	k.wantLines("paid-slow", 1)
	if r := k.wantStatus(k.runRecipe(call("slow", "never")), 0); r.out != "found\n" {
		t.Errorf("got %+v, want the output of the probe", r)
	}
	k.wantAnswer("slow", "replayed", "probed")

	// kill -9 of idem: the command goes on, so the next calls find it running, and the last one
	// asks the probe.
	k.wantStatus(k.sh("rm pid"), 0)
	killed := k.startRecipe(call("killed", "go"))
	k.waitLines("pid", 1)
	k.wantStatus(k.sh("kill -9 $(cat pid)"), 0)
	k.waitUntil("a call finds it running", func() bool { return strings.Contains(k.sh("cat answer-killed.json").out, `"running"`) })
	k.write("go", "")
	k.wantStatus(killed.wait(), 0)
	k.wantAnswer("killed", "replayed", "probed")

	// A signal ends a command before its work is done: the same call says that it has failed.
	for _, action := range []string{"executed", "replayed"} {
		k.wantStatus(k.runRecipe(`./once.sh early 'grep -q done paid-early' sh -c 'echo x >>paid-early; kill -9 $$'`), 137)
		k.wantAnswer("early", action, map[string]string{"executed": "never_run", "replayed": "failed"}[action])
	}

	// A failure is an answer. Another command does not get it.
	for range 2 {
		if r := k.wantStatus(k.runRecipe(`./once.sh failed 'exit 2' sh -c 'echo x >>paid-failed; echo no; exit 3'`), 3); r.out != "no\n" {
			t.Errorf("got %+v, want the output of the failure", r)
		}
	}
	k.wantAnswer("failed", "replayed", "failed")
	k.wantStatus(k.runRecipe(`./once.sh failed 'exit 2' ./pay.sh failed`), 65)
	k.wantAnswer("failed", "refused", "mismatch")
}

// TestAgentsPageAgain tries again after a failure, as docs/agents.md says. The command runs again
// under the same token, and only if PROBE has seen that the work is not there.
func TestAgentsPageAgain(t *testing.T) {
	t.Parallel()
	k := newAgentBox(t)
	k.script("fail.sh", `echo "$IDEM_TOKEN" >>"tried-$1"; [ ! -e mended ] || exec ./pay.sh "$1"; exit 28`)
	k.script("look.sh", `[ ! -e "paid-$1" ] || exit 0; exit 1`)
	again := func(id, probe, command string, status, tries int) result {
		t.Helper()
		r := k.wantStatus(k.runRecipe(fmt.Sprintf("AGAIN=1 ./once.sh %s '%s' %s %[1]s", id, probe, command)), status)
		k.wantLines("tried-"+id, tries)
		return r
	}

	// The payment was taken, and its answer was lost: it does not run again. Nor does it if PROBE
	// cannot tell.
	k.script("taken.sh", `echo x >>"tried-$1"; ./pay.sh "$1"; exit 28`)
	k.wantStatus(k.runRecipe("./once.sh taken './look.sh taken' ./taken.sh taken"), 28)
	for _, probe := range []string{"./look.sh taken", "exit 2", "kill -9 $$"} {
		if r := again("taken", probe, "./taken.sh", 28, 1); !strings.Contains(r.err, "once.sh: PROBE has not") {
			t.Errorf("%s: got %+v, want a message", probe, r)
		}
	}
	k.wantAnswer("taken", "replayed", "failed")

	// The second attempt fails, and its answer is lost: the loop makes no third one.
	k.wantStatus(k.runRecipe("./once.sh work './look.sh work' ./fail.sh work"), 28)
	k.dieOnce("failure")
	again("work", "./look.sh work", "./fail.sh", 28, 2)

	// The third attempt succeeds. The same call gets its answer.
	k.write("mended", "")
	for range 2 {
		if r := again("work", "./look.sh work", "./fail.sh", 0, 3); r.out != "paid work\n" {
			t.Errorf("got %+v, want the output of the success", r)
		}
	}
	k.wantAnswer("work", "replayed", "succeeded")
	if tokens := strings.Fields(k.read("tried-work")); tokens[0] != tokens[2] || tokens[0]+"\n" != k.read("paid-work") {
		t.Errorf("got the tokens %q, want one", tokens)
	}

	// Without a token, PROBE is not asked.
	k.wantStatus(k.runRecipe("IDEM_LEDGER=/dev/null/none AGAIN=1 ./once.sh none 'touch asked; exit 1' ./pay.sh none"), 69)
	k.wantNoFile("asked")
	k.wantNoFile("paid-none")
}

// TestAgentsPageRefuses checks that once.sh runs nothing where it cannot keep its promise, and does
// not repeat a wrong call.
func TestAgentsPageRefuses(t *testing.T) {
	t.Parallel()
	k := newAgentBox(t)
	for call, message := range map[string]string{
		"IDEM_DISABLE=1 ./once.sh a 'exit 2' ./pay.sh a":        "IDEM_DISABLE=1",
		"PATH=" + binary() + " ./once.sh a 'exit 2' ./pay.sh a": "jq is missing",
		"PATH=/none ./once.sh a 'exit 2' ./pay.sh a":            "idem is missing",
		"./once.sh a/b 'exit 2' ./pay.sh a":                     "ID has",
		"./once.sh '' 'exit 2' ./pay.sh a":                      "ID has",
		"./once.sh a 'exit 2'":                                  "usage",
		"./once.sh a '' ./pay.sh a":                             "--probe",
	} {
		if r := k.wantStatus(k.runRecipe(call), 64); strings.Count(r.err, message) != 1 {
			t.Errorf("%s: got %+v, want one message with %q", call, r, message)
		}
		k.wantNoFile("paid-a")
	}
}

// TestAgentsPageStatus checks the rule of docs/agents.md that tells a command's own status from
// that of idem.
func TestAgentsPageStatus(t *testing.T) {
	t.Parallel()
	k := newAgentBox(t)
	for _, c := range []struct {
		call   string // ID PROBE COMMAND
		status int
		own    bool
	}{
		{"own74 'exit 2' sh -c 'exit 74'", 74, true},
		{"own74 'exit 2' sh -c 'exit 74'", 74, true},
		{"own74 'exit 2' sh -c 'exit 75'", 65, false},
		{"own65 'exit 2' sh -c 'exit 65'", 65, true},
		{"own65 'exit 2' sh -c 'exit 66'", 65, false}, // with the record's exit code
		{"own124 'exit 2' timeout 0.01 sleep 60", 124, true},
		{"own127 'exit 2' sh -c ./none", 127, true},
		{"none 'exit 2' ./none", 127, false},
		{"lost 'exit 2' echo lost >/dev/full", 74, false},
		{"part 'exit 1' sh -c 'sh -c \"kill -9 \\$\\$\"; exit $?'", 137, true},
		{"part 'exit 1' sh -c 'sh -c \"kill -9 \\$\\$\"; exit $?'", 137, true}, // PROBE was not asked
		{"signal 'exit 1' sh -c 'kill -9 $$'", 137, false},
		{"signal 'exit 1' sh -c 'kill -9 $$'", 137, false},
		{"signal 'exit 0' sh -c 'kill -9 $$'", 0, false},
		{"doubt 'exit 2' sh -c 'kill -9 $$'", 137, false},
		{"doubt 'exit 2' sh -c 'kill -9 $$'", 79, false},
	} {
		k.wantStatus(k.runRecipe("./once.sh "+c.call), c.status)
		id, _, _ := strings.Cut(c.call, " ")
		a := k.answerOf(id)
		if own := a.Action != "refused" && a.EndReason == "exit" && a.ExitCode == c.status; own != c.own {
			t.Errorf("%s: got %+v, so the status is the command's: %v, want %v", c.call, a, own, c.own)
		}
	}
}

// TestAgentsPageProbe asks a service by the PROBE of docs/agents.md. Only an answer of the service
// says that the work is there or not.
func TestAgentsPageProbe(t *testing.T) {
	t.Parallel()
	requireTool(t, "curl")
	k := newAgentBox(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.FormValue("key") {
		case "paid":
			fmt.Fprint(w, `[{"status":"paid"}]`)
		case "absent":
			fmt.Fprint(w, `[]`)
		case "open":
			fmt.Fprint(w, `[{"status":"unpaid"}]`)
		case "moved":
			http.Redirect(w, r, "/login", http.StatusFound)
		case "cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `[]`)
		default:
			http.Error(w, "[]", http.StatusServiceUnavailable)
		}
	}))
	defer service.Close()
	ask := func(token, url string, status int, out string) {
		t.Helper()
		k.setenv("PAYMENTS", url)
		if r := k.wantStatus(k.runRecipe("IDEM_TOKEN="+token+" sh "+k.probe), status); r.out != out {
			t.Errorf("%s: got %+v, want %q", token, r, out)
		}
	}
	ask("paid", service.URL, 0, "paid\n")
	ask("absent", service.URL, 1, "")
	for _, token := range []string{"open", "moved", "cut", "down"} {
		ask(token, service.URL, 2, "")
	}
	service.Close()
	ask("absent", service.URL, 2, "")
}
