//go:build postgres

package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"idem/internal/testkit"
	"idem/ledger/postgres/pgtest"
)

// TestSharedScripts runs the scripts by the released programs, each with a new shared
// ledger, as a role that may only use it, in each form of the connection. A form has one
// server for all scripts. The forms share the processors, since many scripts wait.
func TestSharedScripts(t *testing.T) {
	testkit.Slow(t, "all scripts, with a server")
	pgtest.Need(t)
	binary() // before the scripts, which have a deadline
	for _, form := range []string{"direct", "pooled", "tls"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			f := newSharedForm(t, form)
			testscript.Run(t, testscript.Params{
				Files:               scriptsWithout(t, "# local ledger only: "),
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
				Setup:               f.setup,
				Cmds:                sharedScriptCommands(),
				Condition: func(name string) (bool, error) {
					switch name {
					case "postgres":
						return true, nil
					case "password":
						return form == "tls", nil
					}
					return scriptCondition(name)
				},
			})
		})
	}
}

// setup is scriptSetup with a shared ledger, and with the programs of a release.
func (f sharedForm) setup(env *testscript.Env) error {
	if err := scriptSetup(env); err != nil {
		return err
	}
	env.Setenv("PATH", binary()+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, "state"))
	s := &sharedScript{schema: strings.ReplaceAll(filepath.Base(env.WorkDir), "-", "_")}
	env.Values[scriptPlaceKey{}] = s
	return s.use(f, env.Setenv)
}
