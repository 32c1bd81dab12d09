package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// recipeSystemd checks the units, and runs the service as systemd starts it.
func recipeSystemd(k *recipeBox) {
	k.script("backup", `echo x >>"$STATE_DIRECTORY/side"`)
	units := []block{k.nextBlock("ini"), k.nextBlock("ini")}
	for _, u := range units {
		k.write(u.file, strings.ReplaceAll(u.text, "/usr/local/bin/", k.dir+"/"))
	}
	if err := os.Symlink(filepath.Join(binary(), "idem"), k.path("idem")); err != nil {
		k.t.Fatal(err)
	}
	requireTool(k.t, "systemd-analyze")
	complains := func() string { // also in a chroot, where it complains about units of the system
		out := k.sh("systemd-analyze verify --man=no ./" + units[0].file + " ./" + units[1].file + " 2>&1").out
		if strings.Contains(out, units[0].file) || strings.Contains(out, units[1].file) {
			return out
		}
		return ""
	}
	if out := complains(); out != "" {
		k.t.Errorf("got %s, want it without %q and %q", out, units[0].file, units[1].file)
	}
	exposed := "systemd-analyze security --offline=true --no-pager --threshold=50 ./" + units[0].file
	if r := k.wantStatus(k.sh(exposed), 0); !strings.Contains(r.out, ": 2.5 OK") {
		k.t.Errorf("got %s, want the figure of the page", r.out)
	}
	k.env = slices.DeleteFunc(k.env, func(kv string) bool { return strings.HasPrefix(kv, "IDEM_LEDGER=") })
	k.ledger = k.path("state")
	if err := os.Mkdir(k.ledger, 0o700); err != nil {
		k.t.Fatal(err)
	}
	k.setenv("STATE_DIRECTORY", k.ledger)
	_, start, ok := strings.Cut(k.read(units[0].file), "\nExecStart=")
	if !ok {
		k.t.Fatal("got no ExecStart, want one")
	}
	start, _, _ = strings.Cut(start, "\n")
	for range 2 {
		k.wantStatus(k.runRecipe(start), 0)
	}
	k.wantLines("state/side", 1)
	if _, err := os.Stat(filepath.Join(k.ledger, "idem", "ledger.db")); err != nil {
		k.t.Error(err)
	}
	k.checkSystemCalls(start)
	k.checkSandbox(start)

	// The checks find faults.
	k.write(units[0].file, strings.Replace(k.read(units[0].file), "UMask=", "Umask=", 1))
	if complains() == "" {
		k.t.Error("a misspelt setting: got no complaint, want one")
	}
	k.write(units[0].file, "[Service]\nExecStart="+start+"\n")
	if r := k.sh(exposed); r.code == 0 {
		k.t.Errorf("a service that is not hardened: got %+v, want a failure", r)
	}
}

// checkSystemCalls checks that the filter of the unit allows the system calls of an execution and a replay.
func (k *recipeBox) checkSystemCalls(start string) {
	k.t.Helper()
	requireTool(k.t, "strace")
	allowed := map[string]bool{}
	sets := []string{"@system-service"}
	for len(sets) > 0 {
		set := sets[0]
		sets = sets[1:]
		for line := range strings.Lines(k.wantStatus(k.sh("systemd-analyze syscall-filter --no-pager "+set), 0).out) {
			if line, ok := strings.CutPrefix(line, "    "); ok {
				if name := strings.TrimSpace(line); strings.HasPrefix(name, "@") {
					sets = append(sets, name)
				} else if !strings.HasPrefix(name, "#") {
					allowed[name] = true
				}
			}
		}
	}
	if !allowed["openat"] || allowed["mount"] {
		k.t.Fatalf("got the system calls %v, want those of @system-service", allowed)
	}
	k.wantStatus(k.sh("rm -r state/idem"), 0)
	k.wantStatus(k.runRecipe("strace -f -qq -o executed "+start), 0)
	k.wantStatus(k.runRecipe("strace -f -qq -o replayed "+start), 0)
	k.wantLines("state/side", 2)
	call := regexp.MustCompile(`(?m)^[0-9]+ +([a-z0-9_]+)\(`)
	for _, file := range []string{"executed", "replayed"} {
		found := call.FindAllStringSubmatch(k.read(file), -1)
		if len(found) < 100 {
			k.t.Errorf("%s: got %d system calls, want more", file, len(found))
		}
		for _, f := range found {
			if !allowed[f[1]] {
				k.t.Errorf("%s: got the system call %s, want one that the unit allows", file, f[1])
				allowed[f[1]] = true
			}
		}
	}
}

// checkSandbox runs the service with the capabilities and the file systems that the unit gives it.
func (k *recipeBox) checkSandbox(start string) {
	k.t.Run("sandbox", func(t *testing.T) {
		requireRoot(t)
		requireTool(t, "setpriv")
		k.setenv("START", start)
		sandbox := `unshare --mount bash -euc 'mount --make-rprivate /
			mount --bind state state && mount -o remount,bind,ro / && cd . && ! touch written 2>/dev/null
			exec setpriv --no-new-privs --bounding-set=-all,+dac_read_search --inh-caps=-all bash -euc "$START"'`
		k.wantStatus(k.sh("rm -r state/idem"), 0)
		for range 2 {
			k.wantStatus(k.sh(sandbox), 0)
		}
		k.wantLines("state/side", 3)
		if _, err := os.Stat(k.path("written")); err == nil {
			t.Error("got a file outside of the state directory, want a read-only file system")
		}
	})
}
