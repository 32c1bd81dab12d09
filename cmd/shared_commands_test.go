//go:build postgres

package cmd_test

import (
	"fmt"
	"maps"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"idem/ledger/postgres/pgtest"
)

// sharedScript is the shared ledger of a script.
type sharedScript struct {
	sharedForm
	schema   string
	separate bool // the server is only for this script
}

// sharedScriptCommands are scriptCommands, and those of scripts that need a shared ledger.
func sharedScriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	all := maps.Clone(scriptCommands)
	// sql STATEMENT...: executes statements as the superuser, in the schema of the ledger.
	// It prints the rows of the last one.
	all["sql"] = scriptCmd(1, func(ts *testscript.TestScript, args []string) {
		s := scriptSharedOf(ts)
		rows, err := s.server.Try(pgtest.Superuser, "set search_path = "+s.schema+"; "+strings.Join(args, "; "))
		ts.Check(err)
		fmt.Fprintln(ts.Stdout(), rows)
	})
	// place VAR ROLE[:PASSWORD] [SCHEMA]: sets the variable to the URL by which the role
	// reaches the ledger, or another schema of its database.
	all["place"] = scriptCmd(2, func(ts *testscript.TestScript, args []string) {
		s := scriptSharedOf(ts)
		schema := s.schema
		if len(args) > 2 {
			schema = args[2]
		}
		role, _, _ := strings.Cut(args[1], ":")
		ts.Setenv(args[0], strings.Replace(s.place(role, schema), role+"@", args[1]+"@", 1))
	})
	// server new: moves the script to a new ledger on a separate server.
	// server stop, server start: stops this server, and starts it again.
	all["server"] = scriptCmd(1, func(ts *testscript.TestScript, args []string) {
		s, t := scriptSharedOf(ts), scriptT{ts}
		switch {
		case args[0] == "new":
			ts.Check(s.use(newSharedForm(t, s.name), ts.Setenv))
			s.separate = true
		case args[0] == "stop" && s.separate:
			s.server.Stop(t, pgtest.Fast)
		case args[0] == "start" && s.separate:
			s.server.Start(t)
		default:
			ts.Fatalf("got server %s, want new, and then stop or start", args[0])
		}
	})
	return all
}

func scriptSharedOf(ts *testscript.TestScript) *sharedScript {
	return ts.Value(scriptPlaceKey{}).(*sharedScript)
}

// use makes a new ledger that is reached by f the ledger of the script.
func (s *sharedScript) use(f sharedForm, setenv func(name, value string)) error {
	s.sharedForm = f
	if err := f.initLedger(s.schema); err != nil {
		return err
	}
	place := s.place(pgtest.CI, s.schema)
	setenv("IDEM_LEDGER", place)
	setenv("PLACE_WORD", "'"+place+"'") // as a hint has it
	for _, kv := range f.env {
		name, value, _ := strings.Cut(kv, "=")
		setenv(name, value)
	}
	return nil
}

// place returns a URL as messages show it, and as the command gets it.
func (f sharedForm) place(role, schema string) string {
	return strings.NewReplacer("%2F", "/", "&port=5432", "").Replace(f.url(role, schema))
}

// scriptT is a script as pgtest.T.
type scriptT struct{ *testscript.TestScript }

func (t scriptT) Helper()                          {}
func (t scriptT) Failed() bool                     { return false } // a script shows no log of its server
func (t scriptT) Cleanup(f func())                 { t.Defer(f) }
func (t scriptT) Fatal(args ...any)                { t.Fatalf("%s", fmt.Sprint(args...)) }
func (t scriptT) Skipf(format string, args ...any) { t.Fatalf(format, args...) }
