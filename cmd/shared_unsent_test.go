//go:build postgres

package cmd_test

import (
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger/postgres/pgtest"
	"idem/ledger/postgres/pgtest/proxy"
)

// newCutBox returns a box with a new shared ledger, and the network before its server.
func newCutBox(t *testing.T) (*box, *proxy.Proxy) {
	t.Helper()
	f := sharedDirect(t)
	direct, err := f.newLedger(t)
	testMust(t, err)
	schema, err := schemaOf(direct)
	testMust(t, err)
	b, p := newBox(t), pgtest.Proxy(t, f.server.TCPAddr())
	b.ledger = pgtest.URL(p.Addr(), pgtest.CI, pgtest.Database, schema, "sslmode=disable")
	b.env = append(b.env, "IDEM_LEDGER="+b.ledger, "STATE_DIRECTORY="+filepath.Join(b.dir, "state"))
	return b, p
}

// The server goes away before the command ends. The user is told that idem tries to send the
// outcome. Ctrl-C leaves that to the keeper.
func TestSharedCtrlCWhileTheOutcomeIsSent(t *testing.T) {
	t.Parallel()
	for name, output := range map[string]string{"small output": "echo x", "large output": "head -c 3000000 /dev/zero"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := newCutBox(t)
			x := b.shell()
			x.typeKeys("idem run --key k -- sh -c '" + output + "; echo $$ >pid; until [ -e go ]; do sleep 0.05; done' >out; echo $? >status\n")
			b.waitPID("pid")
			p.Cut(proxy.Both)
			b.write("go", "")
			x.waitShown("idem:   idem tries until ")
			x.typeKeys(ctrlC)
			b.waitLines("status", 1)
			if got := b.read("status"); got != "125\n" || !strings.Contains(x.shown(), "its outcome is kept in ") {
				t.Errorf("got status %q, want 125; the terminal shows %q", got, x.shown())
			}
			p.Heal()
			b.waitUntil("the keeper sends the outcome", func() bool { return b.listedState("k") == "succeeded" })
		})
	}
}

// A batch says that the outcomes of its items are kept, and how they are sent.
func TestSharedBatchKeepsOutcomes(t *testing.T) {
	t.Parallel()
	b, p := newCutBox(t)
	c := b.start([]string{"idem", "each", "--key", "b", "--finish-timeout", "1", "--", "sh", "-c", "echo $$ >pid; until [ -e go ]; do sleep 0.05; done", "_"}, stdin("item\n"))
	b.waitPID("pid")
	p.Cut(proxy.Both)
	b.write("go", "")
	r := c.wait()
	for _, want := range []string{"idem:   its outcome is kept on this host, and sent later\n", "idem: hint: to send the outcomes that are kept on this host: idem ledger sync "} {
		if r.code != 125 || !strings.Contains(r.err, want) {
			t.Errorf("got status %d and %q, want 125 and %q", r.code, r.err, want)
		}
	}
}
