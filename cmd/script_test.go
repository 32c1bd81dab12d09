package cmd_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"idem/cmd"
	"idem/internal/testkit"
	"idem/ledger/drivers"
)

// TestMain makes this binary idem and child as well. Both are real processes,
// because idem may end by a signal. The command items makes attempts in a shared ledger, so
// this binary is their keeper too.
func TestMain(m *testing.M) {
	if status, asked := drivers.Keeper(os.Args[1:]); asked {
		os.Exit(status)
	}
	testscript.Main(m, map[string]func(){
		"idem":  func() { os.Exit(cmd.Main(os.Args[1:])) },
		"child": func() { os.Exit(childMain(os.Args[1:])) },
	})
}

const scriptDir = "testdata/script"

// TestScript runs the scripts of testdata/script, each with a separate ledger, which
// does not exist at first. A question about the output, records and exit status
// of a command line belongs in a script. Scripts use the commands of testscript
// and of script_commands_test.go, and the program child. TestSharedScripts runs them
// with a shared ledger.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files:               scriptsWithout(t, "# shared ledger only: "),
		UpdateScripts:       testkit.Updating(), // rewrites the files that cmp compares
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               scriptSetup,
		Cmds:                scriptCommands,
		Condition:           scriptCondition,
	})
}

// scriptsWithout returns the scripts that do not begin with a mark. A script runs with
// every kind of ledger, unless its first line is "# local ledger only: WHY" or "# shared
// ledger only: WHY".
func scriptsWithout(t *testing.T, mark string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(scriptDir, "*.txtar"))
	testMust(t, err)
	files = slices.DeleteFunc(files, func(file string) bool {
		b, err := os.ReadFile(file)
		testMust(t, err)
		return strings.HasPrefix(string(b), mark)
	})
	if len(files) == 0 {
		t.Fatal("got no scripts, want some")
	}
	return files
}

// TestSiblingAtEntry runs the script about siblings by the released program, which becomes the
// sibling before Go's runtime starts.
func TestSiblingAtEntry(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files:               []string{filepath.Join(scriptDir, "sibling.txtar")},
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			err := scriptSetup(env)
			env.Setenv("PATH", binary()+string(os.PathListSeparator)+env.Getenv("PATH"))
			return err
		},
		Cmds:      scriptCommands,
		Condition: scriptCondition,
	})
}

// scriptCondition knows these conditions:
//
//	[root]          the scripts run as root
//	[shared]        the program has the shared ledger
//	[postgres]      the ledger of the scripts is a shared one, see shared_scripts_test.go
//	[password]      its server requires a password
//	[unshare:FLAG]  unshare(1) works here with the flag
func scriptCondition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "shared":
		return drivers.Shared, nil
	case "postgres", "password":
		return false, nil
	}
	if flag, ok := strings.CutPrefix(name, "unshare:"); ok {
		return exec.Command("unshare", flag, "true").Run() == nil, nil
	}
	return false, fmt.Errorf("got the condition %s, want root, shared, postgres, password or unshare:FLAG", name)
}

// scriptSetup gives a script its directories, and a ledger that does not exist yet.
func scriptSetup(env *testscript.Env) error {
	// A ledger refuses a directory that other users can write to.
	if err := os.Chmod(env.WorkDir, 0o700); err != nil {
		return err
	}
	for _, dir := range []string{"home", "state"} {
		if err := os.Mkdir(filepath.Join(env.WorkDir, dir), 0o700); err != nil {
			return err
		}
	}
	// testscript begins with an empty environment, without IDEM_* variables of
	// the caller.
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("IDEM_LEDGER", filepath.Join(env.WorkDir, "ledger"))
	env.Setenv("PLACE_WORD", env.Getenv("IDEM_LEDGER")) // as a hint has it
	env.Setenv("TZ", "UTC")
	env.Setenv("PATH", searchable(os.Getenv("PATH")))
	if os.Getenv("GORACE") == "" { // otherwise each idem would end a second later to report races
		env.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	env.Values[scriptJobsKey{}] = scriptJobs{}
	env.Defer(func() {
		env.Values[scriptJobsKey{}].(scriptJobs).kill()
		for _, fault := range scriptLeftovers(env.WorkDir) {
			env.T().Log(fault)
			defer env.T().FailNow()
		}
	})
	return nil
}

// searchable drops the directories that this user may not search. With one of
// them, execvp never reports that a command is not found.
func searchable(path string) string {
	dirs := slices.DeleteFunc(strings.Split(path, ":"), func(dir string) bool {
		return errors.Is(unix.Access(dir, unix.X_OK), unix.EACCES)
	})
	return strings.Join(dirs, ":")
}

// scriptLeftovers finds files outside of a ledger that the script does not
// name, and messages that users should not see.
func scriptLeftovers(work string) (faults []string) {
	name := strings.TrimPrefix(filepath.Base(work), "script-")
	script, err := os.ReadFile(filepath.Join(scriptDir, name+".txtar"))
	if err != nil {
		return []string{err.Error()}
	}
	walk := func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			faults = append(faults, err.Error())
		case d.IsDir() && isLedger(path):
			return fs.SkipDir
		case d.IsDir() && strings.HasSuffix(path, "/idem/shared"): // files of shared ledgers on this host
			return fs.SkipDir
		case d.IsDir():
		case !strings.Contains(string(script), strings.TrimSuffix(strings.TrimSuffix(d.Name(), ".out"), ".err")):
			faults = append(faults, path+" was made, but the script does not name it")
		case strings.HasSuffix(path, ".err"):
			b, err := os.ReadFile(path)
			if err != nil {
				faults = append(faults, err.Error())
			}
			if fault := scriptUnfit(string(b)); fault != "" {
				faults = append(faults, path+": "+fault)
			}
		}
		return nil
	}
	if err := filepath.WalkDir(work, walk); err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}

func isLedger(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "init.lock"))
	return err == nil
}

// scriptUnfit describes text in stderr that users should not see.
func scriptUnfit(stderr string) string {
	for _, s := range []string{"goroutine ", "SQLITE", "panic:", "runtime error", "DATA RACE"} {
		if strings.Contains(stderr, s) {
			return "stderr has " + s + ":\n" + stderr
		}
	}
	return ""
}
