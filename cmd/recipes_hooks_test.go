package cmd_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
)

// listener is a server that keeps the paths and the bodies of the requests.
type listener struct {
	*httptest.Server
	mu            sync.Mutex
	paths, bodies []string
}

func newListener(k *recipeBox) *listener {
	requireTool(k.t, "curl")
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.paths, l.bodies = append(l.paths, r.URL.Path), append(l.bodies, string(body))
	}))
	k.t.Cleanup(l.Close)
	k.env = append(k.env, "no_proxy=127.0.0.1")
	return l
}

// wantPaths checks the paths of the requests since the last call.
func (l *listener) wantPaths(k *recipeBox, want ...string) {
	k.t.Helper()
	if got, _ := l.take(); !slices.Equal(got, want) {
		k.t.Errorf("the server got the requests %q, want %q", got, want)
	}
}

// take returns the paths and the bodies of the requests since the last call.
func (l *listener) take() (paths, bodies []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	paths, bodies = l.paths, l.bodies
	l.paths, l.bodies = nil, nil
	return paths, bodies
}

func recipeHooks(k *recipeBox) {
	pings := newListener(k)
	k.setenv("PING", pings.URL+"/uuid")
	nightly, one := k.nextBlock("sh").text, k.nextBlock("sh").text
	k.script("mail", `printf '%s\n' "$@" >mail.args; cat >mail.body`)

	k.script("nightly.sh", "exit 3")
	k.wantStatus(k.runRecipe(nightly), 3)
	host, _ := os.Hostname()
	if got, want := k.read("mail.args"), "-s\nnightly failed on "+host+"\nops\n"; got != want {
		k.t.Errorf("mail.args: got %q, want %q", got, want)
	}
	if body := k.read("mail.body"); !strings.Contains(body, `"exit_code": 3`) {
		k.t.Errorf("mail.body: got %s, want the exit code 3", body)
	}
	pings.wantPaths(k, "/uuid/fail")
	k.script("nightly.sh", "exec sleep 300")
	soon := func(recipe string) string { return strings.Replace(recipe, "--timeout 2h", "--timeout 0.2", 1) }
	k.wantStatus(k.runRecipe(soon(nightly)), 124)
	if body := k.read("mail.body"); !strings.Contains(body, `"end_reason": "timeout"`) {
		k.t.Errorf("mail.body: got %s, want a timeout", body)
	}
	pings.wantPaths(k, "/uuid/fail")
	k.script("nightly.sh", "exit 0")
	k.wantStatus(k.runRecipe(nightly), 0)
	k.wantStatus(k.runRecipe(nightly), 0)
	pings.wantPaths(k, "/uuid")

	k.run("forget", "--per", "day", "nightly")
	k.script("nightly.sh", "exit 3")
	k.wantStatus(k.runRecipe(one), 3)
	pings.wantPaths(k, "/uuid/start", "/uuid/3")
	k.script("nightly.sh", "exec sleep 300")
	k.wantStatus(k.runRecipe(soon(one)), 124)
	pings.wantPaths(k, "/uuid/start", "/uuid/124")
	k.script("nightly.sh", "kill -KILL $PPID")
	k.runRecipe(one)
	k.wantStatus(k.runRecipe(one), 79)
	pings.wantPaths(k, "/uuid/start", "/uuid/79")
	k.wantStatus(k.runRecipe("IDEM_LEDGER=$PWD/nightly.sh; "+one), 69)
	pings.wantPaths(k, "/uuid/69")
	k.run("mark", "--per", "day", "retry", "nightly")
	k.script("nightly.sh", "exit 0")
	k.wantStatus(k.runRecipe(one), 0)
	pings.wantPaths(k, "/uuid/start", "/uuid/0")
	k.wantStatus(k.runRecipe(one), 0)
	pings.wantPaths(k)
}

func recipeChat(k *recipeBox) {
	chat := newListener(k)
	k.setenv("CHAT", chat.URL)
	text, slack := k.nextBlock("sh").text, k.nextBlock("sh").text
	wantBody := func(want string) {
		k.t.Helper()
		if _, got := chat.take(); len(got) != 1 || got[0] != want {
			k.t.Errorf("the chat got %q, want %q", got, want)
		}
	}
	k.script("deploy.sh", `test "$1" != bad`)
	k.wantStatus(k.runRecipe("VERSION=v1; "+text), 0)
	wantBody("deploy:v1: success (never_run), status 0")
	k.wantStatus(k.runRecipe("VERSION=v1; "+text), 0)
	wantBody("deploy:v1: replay (succeeded), status 0")
	k.wantStatus(k.runRecipe("VERSION=bad; "+text), 1)
	wantBody("deploy:bad: failure (never_run), status 1")
	k.wantStatus(k.runRecipe("VERSION=v2 IDEM_LEDGER=$PWD/deploy.sh; "+text), 69)
	wantBody("deploy:v2: ledger (ledger), status 69")
	k.wantStatus(k.runRecipe("VERSION=v1; "+strings.Replace(text, "./deploy.sh", "./deploy.sh other", 1)), 65)
	wantBody("deploy:v1: mismatch (mismatch), status 65")

	requireTool(k.t, "jq")
	k.wantStatus(k.runRecipe(`VERSION='"@v3\'; `+slack), 0)
	var message struct{ Text string }
	_, bodies := chat.take()
	if len(bodies) != 1 || json.Unmarshal([]byte(bodies[0]), &message) != nil || message.Text != `deploy:"@v3\: success` {
		k.t.Errorf("the chat got %q, want a text in JSON", bodies)
	}
}
