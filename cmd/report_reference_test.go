package cmd

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"idem/ledger"
)

// TestReach checks which flags a command about a record has. They make a shell
// find the record, with the present environment or with none.
func TestReach(t *testing.T) {
	const home = "/home/u"
	own, root := home+"/.local/state/idem", os.Geteuid() == 0
	if root {
		own = "/var/lib/idem"
	}
	for _, test := range []struct {
		ledger string            // of the call
		env    map[string]string // of the call
		id     ledger.ID
		want   string
	}{
		{"", nil, ledger.ID{Namespace: "default", Key: "k"}, "idem logs k"},
		{own, nil, ledger.ID{Namespace: "default", Key: "k"}, "idem logs k"},
		{"/l", nil, ledger.ID{Namespace: "default", Key: "k"}, "idem logs --ledger /l k"},
		{"/l", map[string]string{"IDEM_LEDGER": "/l"}, ledger.ID{Namespace: "default", Key: "k"}, "idem logs --ledger /l k"},
		{own, map[string]string{"IDEM_LEDGER": "/l"}, ledger.ID{Namespace: "default", Key: "k"}, "idem logs --ledger " + own + " k"},
		{"", map[string]string{"XDG_STATE_HOME": "/x"}, ledger.ID{Namespace: "default", Key: "k"}, map[bool]string{false: "idem logs --ledger /x/idem k", true: "idem logs k"}[root]},
		{own, map[string]string{"XDG_STATE_HOME": "/x"}, ledger.ID{Namespace: "default", Key: "k"}, map[bool]string{false: "idem logs --ledger " + own + " k", true: "idem logs k"}[root]},
		{"", map[string]string{"STATE_DIRECTORY": "/s"}, ledger.ID{Namespace: "default", Key: "k"}, "idem logs --ledger /s/idem k"},
		{"", map[string]string{"HOME": "/other"}, ledger.ID{Namespace: "default", Key: "k"}, map[bool]string{false: "idem logs --ledger /other/.local/state/idem k", true: "idem logs k"}[root]},
		{"/l\n", nil, ledger.ID{Namespace: "default", Key: "k"}, `idem logs --ledger "$(printf '/l\012/')" k`},
		{"", nil, ledger.ID{Namespace: "prod", Key: "k"}, "idem logs --namespace prod k"},
		{"", map[string]string{"IDEM_NAMESPACE": "prod"}, ledger.ID{Namespace: "prod", Key: "k"}, "idem logs --namespace prod k"},
		{"", map[string]string{"IDEM_NAMESPACE": "prod"}, ledger.ID{Namespace: "default", Key: "k"}, "idem logs --namespace default k"},
		{"", map[string]string{"IDEM_NAMESPACE": "default"}, ledger.ID{Namespace: "default", Key: "k"}, "idem logs k"},
		{"", nil, ledger.ID{Namespace: "-n", Key: "-k", Window: "2026-W48"}, "idem logs --namespace=-n --window 2026-W48 -- -k"},
		{"", nil, ledger.ID{Namespace: "default", Key: "=k"}, "idem logs '=k'"},
		{"", nil, ledger.ID{Namespace: "default", Key: "~k"}, "idem logs '~k'"},
	} {
		getenv := func(name string) string {
			if value, ok := test.env[name]; ok || name != "HOME" {
				return value
			}
			return home
		}
		flag := test.ledger
		if flag == "" {
			flag = getenv("IDEM_LEDGER")
		}
		r := ledgerPath{ledger: flag, getenv: getenv, homeDir: home}
		if got := r.command(test.id, "logs"); got != test.want {
			t.Errorf("%+v: got %s, want %s", test, got, test.want)
		}
	}
}

// FuzzShellQuote checks that a shell reads a quoted text as the original text.
func FuzzShellQuote(f *testing.F) {
	for _, s := range oddTexts {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) || strings.HasSuffix(s, "\n") {
			return // an argument cannot contain NUL, and $(...) drops a final newline
		}
		quoted := shellQuote(s)
		if steers(quoted, "") {
			t.Fatalf("%q: got %q, want no control characters", s, quoted)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+quoted).Output()
		if err != nil || string(out) != s {
			t.Fatalf("%s: got %q from a shell, error %v, want %q", quoted, out, err, s)
		}
	})
}
