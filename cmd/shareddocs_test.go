package cmd_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const sharedPage = "../docs/shared.md"

// securityContext has the fields of Kubernetes that docs/shared.md may use.
type securityContext struct {
	RunAsNonRoot             bool   `yaml:"runAsNonRoot"`
	RunAsUser                uint32 `yaml:"runAsUser"`
	FSGroup                  uint32 `yaml:"fsGroup"`
	FSGroupChangePolicy      string `yaml:"fsGroupChangePolicy"`
	AllowPrivilegeEscalation *bool  `yaml:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool   `yaml:"readOnlyRootFilesystem"`
	Capabilities             struct{ Drop []string }
	SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
}

// sharedCronJob is the schema of the CronJob in docs/shared.md, as in batch/v1. A field that
// is not in it makes the test fail.
type sharedCronJob struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Schedule          string
		ConcurrencyPolicy string `yaml:"concurrencyPolicy"`
		JobTemplate       struct {
			Spec struct {
				BackoffLimit     int `yaml:"backoffLimit"`
				PodFailurePolicy struct {
					Rules []struct {
						Action      string
						OnExitCodes struct {
							ContainerName string `yaml:"containerName"`
							Operator      string
							Values        []int
						} `yaml:"onExitCodes"`
					}
				} `yaml:"podFailurePolicy"`
				Template struct{ Spec sharedPod }
			}
		} `yaml:"jobTemplate"`
	}
}

type sharedPod struct {
	RestartPolicy                 string          `yaml:"restartPolicy"`
	TerminationGracePeriodSeconds int             `yaml:"terminationGracePeriodSeconds"`
	AutomountServiceAccountToken  bool            `yaml:"automountServiceAccountToken"`
	SecurityContext               securityContext `yaml:"securityContext"`
	Containers                    []struct {
		Name, Image     string
		Command         []string
		Env             []struct{ Name, Value string }
		SecurityContext securityContext `yaml:"securityContext"`
		VolumeMounts    []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name     string
		EmptyDir *struct{} `yaml:"emptyDir"`
		Secret   *struct {
			SecretName  string `yaml:"secretName"`
			DefaultMode int    `yaml:"defaultMode"`
		}
	}
}

// readManifest reads a manifest that has no other fields than the known ones.
func readManifest(t *testing.T, text string) (job sharedCronJob) {
	t.Helper()
	if err := yaml.UnmarshalWithOptions([]byte(text), &job, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return job
}

// TestSharedManifest checks that the manifest of docs/shared.md has no other fields than the
// known ones, and the values that its text relies on.
func TestSharedManifest(t *testing.T) {
	t.Parallel()
	job := readManifest(t, pageBlock(t, sharedPage, "kind: CronJob"))
	spec := job.Spec.JobTemplate.Spec
	pod := spec.Template.Spec
	if job.APIVersion != "batch/v1" || len(pod.Containers) != 1 || len(spec.PodFailurePolicy.Rules) != 1 {
		t.Fatalf("got %+v, want a CronJob of batch/v1 with one container and one rule", job)
	}
	c, rule := pod.Containers[0], spec.PodFailurePolicy.Rules[0]
	if rule.OnExitCodes.ContainerName != c.Name || pod.RestartPolicy != "Never" {
		t.Errorf("got the rule %+v and the policy %s, want a rule for %s with Never, which Kubernetes requires", rule, pod.RestartPolicy, c.Name)
	}
	for _, status := range rule.OnExitCodes.Values { // not those that another try mends
		if !slices.Contains([]int{64, 65, 79, 125}, status) {
			t.Errorf("got a rule for status %d, want none", status)
		}
	}
	// The level restricted of the pod security standards.
	if s, p := c.SecurityContext, pod.SecurityContext; !p.RunAsNonRoot || p.SeccompProfile.Type != "RuntimeDefault" ||
		s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("got %+v and %+v, want the level restricted", p, s)
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	volumes := map[string]string{} // the path of each mount
	for _, m := range c.VolumeMounts {
		volumes[m.Name] = m.MountPath
	}
	for _, v := range pod.Volumes {
		path := volumes[v.Name]
		switch {
		case path == "":
			t.Errorf("volume %s: got no mount, want one", v.Name)
		case v.EmptyDir != nil && env["STATE_DIRECTORY"] != path:
			t.Errorf("STATE_DIRECTORY: got %s, want %s", env["STATE_DIRECTORY"], path)
		case v.Secret != nil && !strings.Contains(env["IDEM_PG_PASSWORD_COMMAND"], path+"/"):
			t.Errorf("IDEM_PG_PASSWORD_COMMAND: got %s, want a file in %s", env["IDEM_PG_PASSWORD_COMMAND"], path)
		}
	}
	if len(volumes) != len(pod.Volumes) || !strings.HasPrefix(env["IDEM_LEDGER"], "postgres://") || strings.Contains(env["IDEM_LEDGER"], "password") {
		t.Errorf("got the volumes %v and the ledger %s", volumes, env["IDEM_LEDGER"])
	}
	// The time to stop the command, and to record its outcome.
	i := slices.Index(c.Command, "--kill-after")
	if i < 0 || c.Command[i+1] != "30s" || pod.TerminationGracePeriodSeconds <= 30 {
		t.Errorf("got %v and %d seconds, want --kill-after below them", c.Command, pod.TerminationGracePeriodSeconds)
	}
}

// TestSharedPageNames checks that docs/shared.md names only flags and calls of idem ledger
// that exist.
func TestSharedPageNames(t *testing.T) {
	t.Parallel()
	page, reference := readFile(t, sharedPage), readFile(t, "../docs/cli.md")
	for word := range strings.FieldsFuncSeq(page, func(r rune) bool { return strings.ContainsRune(" \n`'|(),.;:=", r) }) {
		foreign := slices.Contains([]string{"--work", "--single-transaction", "--stop-timeout", "--hostname", "--port", "--username"}, word)
		if strings.HasPrefix(word, "--") && len(word) > 3 && !foreign && !strings.Contains(reference, word) {
			t.Errorf("got %s, want a flag of docs/cli.md", word)
		}
	}
	for _, part := range strings.Split(page, "idem ledger ")[1:] {
		how := strings.FieldsFunc(part, func(r rune) bool { return r < 'a' || r > 'z' })[0]
		if !strings.Contains(reference, "\n## idem ledger "+how+"\n") {
			t.Errorf("got idem ledger %s, want one that exists", how)
		}
	}
}
