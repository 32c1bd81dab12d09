package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// This file tests the sections of docs/recipes.md about the command of another user.

// inOwnSystem returns a line that runs a recipe where /root, /var/lib and /usr/local/bin
// are directories of the box. idem is in the last one. So root's ledger is in the box,
// although sudo and su reset the environment.
func (k *recipeBox) inOwnSystem(text string) string {
	k.t.Helper()
	requireRoot(k.t) // sudo and su ask root for no password
	requireTool(k.t, "unshare")
	if exec.Command("unshare", "-m", "true").Run() != nil {
		skipMissing(k.t, "the right to mount")
	}
	script := "set -eu\n"
	for _, dir := range []string{"/root", "/var/lib", "/usr/local/bin"} {
		own := k.path("system" + strings.ReplaceAll(dir, "/", "-"))
		if err := os.MkdirAll(own, 0o755); err != nil {
			k.t.Fatal(err)
		}
		script += "mount --bind " + own + " " + dir + "\n"
	}
	script += "cp " + filepath.Join(binary(), "idem") + " /usr/local/bin/idem\nexec bash -u -c \"$1\"\n"
	k.write("own-system.sh", script)
	k.write("recipe.sh", text)
	return `unshare -m sh own-system.sh "$(cat recipe.sh)"`
}

func recipeSudo(k *recipeBox) {
	requireTool(k.t, "sudo")
	outside, inside := k.nextBlock("sh").text, k.nextBlock("sh").text
	k.setenv("MONTH", "2026-11")
	k.script("payout.sh", `echo "$1 ${IDEM_TOKEN-none} $(id -u)" >>paid`)
	paid := func(want string) {
		k.t.Helper()
		if got := k.read("paid"); got != want {
			k.t.Errorf("paid: got %q, want %q", got, want)
		}
		k.write("paid", "")
	}
	// All of it by sudo: the record is in root's ledger, and not in that of the caller.
	line := k.inOwnSystem(outside)
	k.wantStatus(k.runRecipe(line), 0)
	token := strings.TrimSpace(k.wantStatus(k.runRecipe(k.inOwnSystem("sudo idem token payout:2026-11")), 0).out)
	paid("2026-11 " + token + " 0\n")
	k.wantStatus(k.runRecipe(k.inOwnSystem(outside)), 0)
	paid("")
	k.wantStatus(k.run("show", "payout:2026-11"), 1)

	// The command alone by sudo.
	k.wantStatus(k.runRecipe(inside), 0)
	token = strings.TrimSpace(k.wantStatus(k.run("token", "payout:2026-11"), 0).out)
	paid("2026-11 " + token + " 0\n")
	k.wantStatus(k.run("forget", "payout:2026-11"), 0)
	k.wantStatus(k.runRecipe(strings.Replace(inside, " --preserve-env=IDEM_TOKEN,IDEM_RUN_ID", "", 1)), 0)
	paid("2026-11 none 0\n")

	// After a kill -9, root's idem finds sudo.
	k.wantStatus(k.run("forget", "payout:2026-11"), 0)
	k.script("payout.sh", `echo x >>paid; until [ -e go ]; do sleep 0.01; done`)
	first := k.startRecipe("exec " + inside)
	k.waitLines("paid", 1)
	first.kill(syscall.SIGKILL)
	first.wait()
	k.wantStatus(k.runRecipe(inside), 75)
	k.write("go", "")
	k.waitUntil("the end of sudo", func() bool { return k.runRecipe(inside).code == 79 })
	k.wantLines("paid", 1)
}

func recipeSu(k *recipeBox) {
	requireTool(k.t, "su")
	outside, inside := k.nextBlock("sh").text, k.nextBlock("sh").text
	k.setenv("APP_USER", "root")
	k.setenv("DAY", "2026-11-22; touch injected")
	// The user's own ledger and home.
	line := k.inOwnSystem(outside)
	k.write("system-root/backup.sh", "#!/bin/sh\necho \"$HOME ${IDEM_LEDGER-none}\" >>side\n")
	if err := os.Chmod(k.path("system-root/backup.sh"), 0o755); err != nil {
		k.t.Fatal(err)
	}
	for range 2 {
		k.wantStatus(k.runRecipe(line), 0)
	}
	if got := k.read("system-root/side"); got != "/root /var/lib/idem\n" {
		k.t.Errorf("got %q, want one run in /root with the ledger /var/lib/idem", got)
	}
	// The command alone by su, which keeps the environment and the descriptor.
	k.script("restore.sh", `echo "$1 ${IDEM_TOKEN-none}" >>restored; until [ -e go ]; do sleep 0.01; done`)
	first := k.startRecipe("exec " + inside)
	k.waitLines("restored", 1)
	first.kill(syscall.SIGKILL)
	first.wait()
	k.wantStatus(k.runRecipe(inside), 75)
	token := strings.TrimSpace(k.wantStatus(k.sh(`idem token "restore:$DAY"`), 0).out)
	if got := k.read("restored"); got != "2026-11-22; touch injected "+token+"\n" {
		k.t.Errorf("restored: got %q, want the day as one argument and the token %s", got, token)
	}
	k.write("go", "")
	k.waitUntil("the end of su", func() bool { return k.runRecipe(inside).code == 79 })
	k.wantLines("restored", 1)
}
