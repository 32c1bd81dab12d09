package cmd_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/goccy/go-yaml"
)

// cronJob has the fields of the recipe's Kubernetes objects that the test uses.
type cronJob struct {
	kinds     []string
	command   []string
	env       []string
	mountPath string
	uid       uint32
	fsGroup   uint32
	policy    string
}

func readCronJob(t *testing.T, text string) cronJob {
	t.Helper()
	type object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Spec       struct {
			JobTemplate struct {
				Spec struct {
					Template struct {
						Spec struct {
							SecurityContext struct {
								RunAsUser           uint32 `yaml:"runAsUser"`
								FSGroup             uint32 `yaml:"fsGroup"`
								FSGroupChangePolicy string `yaml:"fsGroupChangePolicy"`
							} `yaml:"securityContext"`
							Containers []struct {
								Command      []string
								Env          []struct{ Name, Value string }
								VolumeMounts []struct {
									Name      string
									MountPath string `yaml:"mountPath"`
								} `yaml:"volumeMounts"`
							}
						}
					}
				}
			} `yaml:"jobTemplate"`
		}
	}
	var job cronJob
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var o object
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		job.kinds = append(job.kinds, o.APIVersion+" "+o.Kind)
		pod := o.Spec.JobTemplate.Spec.Template.Spec
		if len(pod.Containers) != 1 {
			continue
		}
		c := pod.Containers[0]
		job.command, job.mountPath = c.Command, c.VolumeMounts[0].MountPath
		for _, e := range c.Env {
			job.env = append(job.env, e.Name+"="+e.Value)
		}
		job.uid, job.fsGroup, job.policy = pod.SecurityContext.RunAsUser, pod.SecurityContext.FSGroup, pod.SecurityContext.FSGroupChangePolicy
	}
	if !slices.Equal(job.kinds, []string{"batch/v1 CronJob", "v1 PersistentVolumeClaim"}) || len(job.command) == 0 || job.mountPath == "" {
		t.Fatalf("got %+v, want a CronJob with a command and a volume", job)
	}
	return job
}

// volumes are shell commands that create the root of a volume, and do what the
// kubelet does before each start of a pod with an fsGroup.
var volumes = map[string]string{
	"fresh":    `mkdir -p -m 755 ledger/lost+found; chmod 755 ledger`,
	"emptyDir": `mkdir -m 777 ledger`,
}

// recipeKubernetes runs the pod in such volumes, by the user that it names, and
// by root without a security context.
func recipeKubernetes(k *recipeBox) {
	text := k.nextBlock("yaml").text
	job := readCronJob(k.t, text)
	k.t.Run("decoded", func(t *testing.T) {
		wantManifest(t, text, "concurrencyPolicy", "batch/v1 CronJob\nv1 PersistentVolumeClaim\n")
	})
	requireRoot(k.t)
	for volume, make := range volumes {
		for _, root := range []bool{false, true} {
			k.t.Run(fmt.Sprintf("%s, root %t", volume, root), func(t *testing.T) {
				b := newRecipeBox(t, nil)
				b.open()
				b.wantStatus(b.sh("set -e; umask 022; "+make), 0)
				b.script("backup", `echo x >>"$SIDE"`)
				b.wantStatus(b.sh("mkdir -m 777 out"), 0)
				b.setenv("SIDE", b.path("out/side"))
				for _, kv := range job.env {
					b.env = append(b.env, strings.Replace(kv, "="+job.mountPath, "="+b.path("ledger"), 1))
				}
				for start := range 3 {
					if !root {
						b.user = nil
						b.setOwnership("ledger", job, start == 0)
						b.user = &syscall.Credential{Uid: job.uid, Gid: 0, Groups: []uint32{job.fsGroup}}
					}
					b.wantStatus(b.start(job.command).wait(), 0)
				}
				b.wantLines("out/side", 1)
			})
		}
	}
}

// setOwnership does what the kubelet does with a volume of a pod that has an
// fsGroup (SetVolumeOwnership). Files get the group, which may read and write
// them. With OnRootMismatch, it does so only if the root has another group or
// mode.
func (k *recipeBox) setOwnership(dir string, job cronJob, first bool) {
	k.t.Helper()
	if job.policy == "OnRootMismatch" && !first {
		return
	}
	k.wantStatus(k.sh(fmt.Sprintf("chgrp -R %d %s; chmod -R ug+rw %s; find %s -type d -exec chmod g+xs {} +", job.fsGroup, dir, dir, dir)), 0)
}

// open makes the box readable for every user.
func (k *recipeBox) open() {
	k.t.Helper()
	for _, dir := range []string{filepath.Dir(k.dir), k.dir} {
		if err := os.Chmod(dir, 0o755); err != nil {
			k.t.Fatal(err)
		}
	}
}

// unset removes variables from the environment.
func (k *recipeBox) unset(names ...string) {
	k.env = slices.DeleteFunc(k.env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(names, name)
	})
}

// blocksOf returns the blocks in lang of docs/recipes.md whose heading begins
// with heading.
func blocksOf(t *testing.T, heading, lang string) []block {
	t.Helper()
	of := func(b block) bool { return b.lang != lang || !strings.HasPrefix(b.section, heading) }
	blocks := slices.DeleteFunc(readBlocks(t, "../docs/recipes.md"), of)
	if len(blocks) == 0 {
		t.Fatalf("%s: got no block in %s, want one", heading, lang)
	}
	return blocks
}

// A deployment on a self-hosted runner that is not root uses a directory in
// /var/lib.
func TestRecipePlaceOfARunner(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	page, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	const prepare = `sudo install -d -m 0700 -o "$(id -u)" /var/lib/deploys`
	if !strings.Contains(string(page), prepare) {
		t.Errorf("docs/recipes.md: got no line %s, want it", prepare)
	}
	var doc struct {
		Concurrency string
		Steps       []struct {
			ID, If, Run string
			Env         map[string]string
		}
	}
	if err := yaml.Unmarshal([]byte(blocksOf(t, "A deploy", "yaml")[0].text), &doc); err != nil {
		t.Fatal(err)
	}
	place := doc.Steps[0].Env["IDEM_LEDGER"]
	if !strings.HasPrefix(place, "/var/lib/") {
		t.Fatalf("got %+v, want a ledger in /var/lib/", doc)
	}
	k := newRecipeBox(t, nil)
	k.open()
	k.wantStatus(k.sh("umask 022; mkdir -p var/lib home; mkdir -m 777 work; chown 4242 home"), 0)
	k.user = &syscall.Credential{Uid: 4242, Gid: 4242}
	for _, name := range []string{"GITHUB_SHA", "GITHUB_RUN_ID"} {
		k.setenv(name, "4f2c1e")
	}
	k.setenv("GITHUB_ACTIONS", "true")
	k.setenv("GITHUB_OUTPUT", k.path("work/output"))
	k.setenv("IDEM_LEDGER", k.path("var/lib/deploys"))
	k.setenv("HOME", k.path("home"))
	k.script("deploy.sh", `echo x >>work/side; echo deployed`)
	// Without the preparation the place is refused, and the message has the
	// recipe's command.
	r := k.wantStatus(k.runRecipe(doc.Steps[0].Run), 69)
	if want := strings.Replace(prepare, "/var/lib", k.path("var/lib"), 1); !strings.Contains(r.err, want) {
		t.Errorf("stderr: got %s, want it with %s", r.err, want)
	}
	k.wantStatus(k.paste(strings.Replace(prepare, "/var/lib", k.path("var/lib"), 1)), 0)
	for range 2 {
		k.wantStatus(k.runRecipe(doc.Steps[0].Run), 0)
	}
	k.wantLines("work/side", 1)
}

// A crontab's user has HOME, SHELL, LOGNAME and PATH, and a home directory as
// adduser creates it.
func TestRecipePlaceOfACrontab(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	line := strings.SplitN(blocksOf(t, "A backup", "cron")[0].text, " ", 6)[5]
	for _, mode := range []string{"755", "750", "700"} {
		k := newRecipeBox(t, nil)
		k.open()
		k.wantStatus(k.sh("umask 022; mkdir home site backups; echo x >site/x; chown 4242:4242 home backups; chmod "+mode+" home"), 0)
		k.unset("IDEM_LEDGER", "HOME")
		k.env = append(k.env, "HOME="+k.path("home"), "LOGNAME=user", "SHELL=/bin/sh", "SITE="+k.path("site"), "BACKUPS="+k.path("backups"))
		k.user = &syscall.Credential{Uid: 4242, Gid: 4242}
		for range 2 {
			if r := k.wantStatus(k.runRecipe(line), 0); r.err != "" {
				t.Errorf("got stderr %s that cron would mail, want none", r.err)
			}
		}
		if !isPrivate(t, k.path("home/.local/state/idem")) {
			t.Error("got a ledger that is open to other users, want a private one")
		}
		k.setenv("IDEM_LEDGER", "~/ledger")
		k.wantStatus(k.runRecipe(line), 64)
	}
}

// systemd creates a StateDirectory with mode 0755, for the user of the unit.
func TestRecipePlaceOfAUnit(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	unit := blocksOf(t, "A systemd timer", "ini")[0]
	_, start, ok := strings.Cut(unit.text, "\nExecStart=")
	if !ok || !strings.Contains(unit.text, "\nStateDirectory=backup\n") {
		t.Fatalf("got the unit %s, want one with StateDirectory=backup", unit.text)
	}
	for _, uid := range []uint32{0, 4242} {
		k := newRecipeBox(t, nil)
		k.open()
		k.wantStatus(k.sh(fmt.Sprintf("umask 022; mkdir -p var/lib/backup; mkdir -m 777 work; chown %d var/lib/backup", uid)), 0)
		k.script("backup", "echo x >>work/side")
		k.unset("IDEM_LEDGER", "HOME")
		k.setenv("STATE_DIRECTORY", k.path("var/lib/backup"))
		if uid != 0 {
			k.user = &syscall.Credential{Uid: uid, Gid: uid}
		}
		for range 2 {
			k.wantStatus(k.runRecipe(strings.NewReplacer("/usr/local/bin/idem", "idem", "/usr/local/bin/", k.dir+"/").Replace(start)), 0)
		}
		k.wantLines("work/side", 1)
		if !isPrivate(t, k.path("var/lib/backup/idem")) {
			t.Error("got a ledger that is open to other users, want a private one")
		}
	}
}
