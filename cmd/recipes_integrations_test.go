package cmd_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// This file and recipes_programs_test.go run docs/integrations.md with the programs that it
// names.

func TestIntegrations(t *testing.T) {
	cookPage(t, "../docs/integrations.md", map[string]func(*recipeBox){
		"An ssh forced command":          recipeSSH,
		"A deploy by git push":           recipeGitPush,
		"Ansible":                        recipeAnsible,
		"A webhook server":               recipeWebhookServer,
		"restic, once per night":         recipeRestic,
		"borg, once per night":           recipeBorg,
		"A certificate that was renewed": recipeCertificate,
		"A target of make":               recipeMake,
		"anacron":                        recipeAnacron,
		"Prometheus":                     recipePrometheus,
		"Logs":                           recipeLogs,
		"Not tried here":                 recipeNotTried,
	})
}

// freePort returns a port of the loopback interface on which nothing listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testMust(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	testMust(t, err)
	testMust(t, l.Close())
	return port
}

// waitPort waits until a server listens.
func (k *recipeBox) waitPort(port string) {
	k.t.Helper()
	k.waitUntil("a server on port "+port, func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// recipeSSH runs a real sshd, in a system whose /root, /var/lib and /usr/local/bin are
// directories of the box.
func recipeSSH(k *recipeBox) {
	for _, tool := range []string{"sshd", "ssh", "ssh-keygen"} {
		requireTool(k.t, tool)
	}
	keys, script := k.nextBlock("text"), k.nextBlock("sh")
	k.wantStatus(k.sh("ssh-keygen -qt ed25519 -N '' -f host && ssh-keygen -qt ed25519 -N '' -f client && mkdir run run/sshd"), 0)
	public := strings.TrimSpace(k.read("client.pub"))
	if strings.Count(keys.text, "ssh-ed25519 AAAA... ci") != 1 {
		k.t.Fatalf("got %q, want one key", keys.text)
	}
	k.write(keys.file, strings.Replace(keys.text, "ssh-ed25519 AAAA... ci", public, 1))
	port := freePort(k.t)
	k.write("sshd_config", fmt.Sprintf(`Port %s
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
StrictModes no
UsePAM no
PidFile none
PermitRootLogin forced-commands-only
`, port, k.path("host"), k.path(keys.file)))
	system := k.inOwnSystem(`chmod 755 run run/sshd
mount --bind run /run
sed 's/^root:[^:]*:/root:*:/' /etc/shadow >shadow && chmod 600 shadow && mount --bind shadow /etc/shadow
grep -v '^sshd:' /etc/passwd >passwd; echo 'sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin' >>passwd
chmod 644 passwd && mount --bind passwd /etc/passwd
exec "$(command -v sshd)" -D -e -f sshd_config`)
	testMust(k.t, os.Symlink("system-usr-local-bin", k.path("bin")))
	k.script("bin/"+script.file, script.text)
	k.script("bin/deploy", fmt.Sprintf("cd %s; echo \"$*\" >>side; until [ -e go ]; do sleep 0.01; done; echo \"deployed $1\"", k.dir))
	server := k.startRecipe(system)
	k.waitPort(port)
	client := func(words ...string) []string {
		return append([]string{
			"ssh", "-F", "none", "-i", k.path("client"), "-p", port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
			"-o", "UserKnownHostsFile=" + k.path("known"), "--", "root@127.0.0.1",
		}, words...)
	}
	ssh := func(status int, words ...string) string {
		k.t.Helper()
		r := k.start(client(words...)).wait()
		if r.code != status {
			k.t.Fatalf("ssh %q: got %+v, want status %d; sshd:\n%s", words, r, status, k.read(server.err))
		}
		return r.out
	}

	// The connection breaks. The deploy goes on, and the same call gets its result.
	broken := k.start(client("1.4.2"))
	k.waitLines("side", 1)
	broken.kill(syscall.SIGKILL)
	broken.wait()
	second := k.start(client("1.4.2"))
	k.write("go", "")
	if r := k.wantStatus(second.wait(), 0); r.out != "deployed 1.4.2\n" {
		k.t.Errorf("got %+v, want the output of the deploy", r)
	}
	if out := ssh(0, "1.4.2"); out != "deployed 1.4.2\n" {
		k.t.Errorf("got %q, want the output of the deploy", out)
	}
	if got := k.read("side"); got != "1.4.2\n" {
		k.t.Errorf("got the deploys %q, want one", got)
	}
	// Nothing of the client's text is split, expanded or run.
	for _, text := range []string{"1.4.3 prod", "1; touch ~/in", "$(touch ~/in)", "`touch ~/in`", "*", "--help", "-", "", "1\ntouch ~/in", "a'b", `a"b`, "../x", "..", "ä"} {
		ssh(2, text)
	}
	ssh(2) // a login
	k.wantLines("side", 1)
	k.wantNoFile("system-root/in")
	// Going back to an older version is a deploy.
	ssh(0, "1.4.3")
	ssh(0, "1.4.2")
	if got, want := k.read("side"), "1.4.2\n1.4.3\n1.4.2\n"; got != want {
		k.t.Errorf("got the deploys %q, want %q", got, want)
	}
}

// recipeGitPush pushes to a real repository.
func recipeGitPush(k *recipeBox) {
	requireTool(k.t, "git")
	hook, tip := k.nextBlock("sh"), k.nextBlock("sh")
	k.setenv("GIT_CONFIG_GLOBAL", k.path("gitconfig"))
	k.setenv("GIT_CONFIG_NOSYSTEM", "1")
	k.setenv("AT", k.dir)
	k.wantStatus(k.sh(`git config --global user.name t && git config --global user.email t@example.org &&
		git init -q --bare repo.git && git init -q -b main work && git -C work remote add origin ../repo.git`), 0)
	k.script("repo.git/hooks/"+hook.file, hook.text)
	k.script("repo.git/hooks/"+tip.file, tip.text)
	k.script("repo.git/hooks/deploy", `git log -1 --format=%s "$1" >>"$AT/side"; until [ -e "$AT/go" ]; do sleep 0.01; done; echo "deployed $1"`)
	commit := func(name string) {
		k.t.Helper()
		k.wantStatus(k.sh("cd work && git commit -q --allow-empty -m "+name), 0)
	}
	push := func(refs string) result {
		k.t.Helper()
		return k.wantStatus(k.sh("cd work && git push -qf origin "+refs), 0)
	}
	// Two pushes come during a deploy: one more deploy follows, of the newest commit.
	commit("a")
	first := k.startRecipe("cd work && git push -q origin main")
	k.waitLines("side", 1)
	var later []*call
	for _, name := range []string{"b", "c"} {
		commit(name)
		head := strings.TrimSpace(k.wantStatus(k.sh("git -C work rev-parse HEAD"), 0).out)
		later = append(later, k.startRecipe("cd work && git push -q origin main"))
		k.waitUntil("the push of "+name, func() bool {
			return strings.TrimSpace(k.sh("git -C repo.git rev-parse main").out) == head
		})
	}
	k.write("go", "")
	for _, c := range append(later, first) {
		if r := k.wantStatus(c.wait(), 0); !strings.Contains(r.err, "remote: deployed ") {
			k.t.Errorf("got %+v, want the output of the deploy", r)
		}
	}
	deployed := k.read("side")
	if !slices.Contains([]string{"a\nc\n", "a\nb\nc\n"}, deployed) { // b's hook may wait only after the deploy of a
		k.t.Errorf("got the deploys %q, want a and then c", deployed)
	}
	want := func(more string) {
		k.t.Helper()
		if got := strings.TrimPrefix(k.read("side"), deployed); got != more {
			k.t.Errorf("got the further deploys %q, want %q", got, more)
		}
	}
	// The hook is called twice; another branch is pushed.
	k.wantStatus(k.sh("cd repo.git && echo x x refs/heads/main | hooks/post-receive"), 0)
	push("main:other")
	want("")
	// Back to an older commit, and forward again.
	push("main~2:main")
	push("main:main")
	want("a\nc\n")
	// The deploy and the hook are killed. The next call of the hook deploys.
	testMust(k.t, os.Remove(k.path("go")))
	commit("d")
	killed := k.startRecipe("cd work && git push -q origin main")
	k.waitLines("side", strings.Count(deployed, "\n")+3)
	mark := k.env[slices.IndexFunc(k.env, func(kv string) bool { return strings.HasPrefix(kv, "IDEM_E2E=") })]
	killMarked(mark)
	killed.wait()
	k.write("go", "")
	k.wantStatus(k.sh("cd repo.git && echo x x refs/heads/main | hooks/post-receive"), 0)
	want("a\nc\nd\nd\n")
}

func recipeAnsible(k *recipeBox) {
	requireTool(k.t, "ansible-playbook")
	play := k.nextBlock("yaml")
	k.setenv("LC_ALL", "C.UTF-8") // Ansible refuses to start without UTF-8
	k.write(play.file, play.text)
	k.script("migrate.sh", `echo "$1" >>side; echo "migrated $1"; [ "$1" != bad ]`)
	run := func(status int, counts string, args ...string) {
		k.t.Helper()
		r := k.wantStatus(k.start(append([]string{"ansible-playbook", "-i", "localhost,", "-c", "local", play.file}, args...)).wait(), status)
		got := strings.Join(strings.Fields(r.out[strings.LastIndex(r.out, "localhost"):]), " ")
		if !strings.Contains(got, counts) {
			k.t.Errorf("got %q, want %q in\n%s", got, counts, r.out)
		}
	}
	const odd = `{"version": "7 $(touch in); 'x'"}`
	run(0, "changed=0", "--check", "-e", odd)
	run(0, "ok=1 changed=1", "-e", odd)
	run(0, "ok=1 changed=0", "-e", odd)
	k.wantNoFile("in")
	if got, want := k.read("side"), "7 $(touch in); 'x'\n"; got != want {
		k.t.Errorf("got the migrations %q, want %q", got, want)
	}
	run(2, "failed=1", "-e", "version=bad")
	k.wantLines("side", 2)
}

func recipeMake(k *recipeBox) {
	requireTool(k.t, "make")
	file := k.nextBlock("make")
	k.write(file.file, file.text)
	k.write("main.c", "")
	k.script("deploy.sh", `echo "$1" >>side; tar -tf "$2"`)
	k.setenv("VERSION", "1'; touch in; '$(touch in)")
	for range 2 {
		if r := k.wantStatus(k.sh("make deploy"), 0); r.out != "main.c\n" {
			k.t.Errorf("got %+v, want the output of the deploy", r)
		}
	}
	k.wantLines("side", 1)
	k.wantNoFile("in")
	k.wantStatus(k.sh("unset VERSION; make deploy"), 2)
	k.wantLines("side", 1)
	for i, version := range []string{"2", "2", "1", "2"} {
		k.wantStatus(k.sh("make deploy VERSION="+version), 0)
		k.wantLines("side", []int{2, 2, 3, 4}[i])
	}
	k.wantStatus(k.sh("echo 1 >main.c && touch -d tomorrow main.c && make deploy VERSION=2"), 0)
	k.wantLines("side", 5)
}

// recipeNotTried parses the files whose programs the tests do not run.
func recipeNotTried(k *recipeBox) {
	requireTool(k.t, "python3")
	k.write("dag.py", k.nextBlock("python").text)
	k.wantStatus(k.sh("python3 -m py_compile dag.py"), 0)
	step := strings.TrimSpace(k.nextBlock("groovy").text)
	line, ok := strings.CutPrefix(step, "sh '")
	k.write("step.sh", strings.TrimSuffix(line, "'"))
	if k.wantStatus(k.sh("sh -n step.sh"), 0); !ok || strings.Contains(k.read("step.sh"), "'") {
		k.t.Errorf("got %q, want one string in single quotes", step)
	}
	plist := k.nextBlock("xml")
	k.write(plist.file, plist.text)
	d := xml.NewDecoder(bytes.NewReader([]byte(plist.text)))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		testMust(k.t, err)
	}
	r := k.wantStatus(k.sh("python3 -c 'import plistlib; print(*plistlib.load(open(\""+plist.file+"\", \"rb\"))[\"ProgramArguments\"])'"), 0)
	k.script("backup", "echo x >>side")
	for range 2 {
		k.wantStatus(k.sh(strings.ReplaceAll(r.out, "/usr/local/bin/", "")), 0)
	}
	k.wantLines("side", 1)
}
