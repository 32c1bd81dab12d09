//go:build postgres

package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"idem/internal/testkit"
)

// TestSharedScripts runs the scripts of TestScript by the released programs, each with a
// new shared ledger, as a role that may only use it. A script that begins with
// "[postgres] skip" is about the files of a local ledger.
func TestSharedScripts(t *testing.T) {
	testkit.Slow(t, "all scripts, with a server")
	t.Run("direct", func(t *testing.T) { runSharedScripts(t, sharedDirect(t), nil) })
	t.Run("pooled", func(t *testing.T) { runSharedScripts(t, sharedPooled(t), nil) })
	t.Run("tls", func(t *testing.T) {
		runSharedScripts(t, sharedTLS(t), []string{"each", "json", "mutex", "redact", "step", "hooks"})
	})
}

// runSharedScripts runs the named scripts, or all.
func runSharedScripts(t *testing.T, f sharedForm, names []string) {
	var files []string
	for _, name := range names {
		files = append(files, filepath.Join(scriptDir, name+".txtar"))
	}
	p := testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { return f.setup(t, env) },
		Cmds:                scriptCommands,
		Condition: func(name string) (bool, error) {
			if name == "postgres" {
				return true, nil
			}
			return scriptCondition(name)
		},
	}
	if names == nil {
		p.Dir = scriptDir
	}
	testscript.Run(t, p)
}

// setup is scriptSetup with a shared ledger, and with the programs of a release.
func (f sharedForm) setup(t *testing.T, env *testscript.Env) error {
	if err := scriptSetup(env); err != nil {
		return err
	}
	place, err := f.newLedger(t)
	if err != nil {
		return err
	}
	place = strings.ReplaceAll(place, "%2F", "/") // as messages show it
	env.Setenv("IDEM_LEDGER", place)
	env.Setenv("PLACE_WORD", "'"+place+"'")
	env.Setenv("PATH", binary()+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("STATE_DIRECTORY", filepath.Join(env.WorkDir, "state"))
	env.Vars = append(env.Vars, f.env...)
	env.Values[scriptPlaceKey{}] = f
	return nil
}
