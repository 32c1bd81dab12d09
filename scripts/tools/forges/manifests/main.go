// Manifests decodes the Kubernetes objects on stdin. It is as strict as an API server can be: an unknown field, a field that is
// there twice, or a value of another type is an error. It also refuses values that the types allow and an API server does not.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func main() {
	kinds, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, k := range kinds {
		fmt.Println(k)
	}
}

// check returns the kinds of the objects.
func check(r io.Reader) ([]string, error) {
	var kinds []string
	var pods []corev1.PodSpec
	claims := map[string]bool{}
	docs := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var of struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
		}
		if err := yaml.Unmarshal(doc, &of); err != nil {
			return nil, err
		}
		kind := of.APIVersion + " " + of.Kind
		switch kind {
		case "batch/v1 CronJob":
			var o batchv1.CronJob
			if err := decode(kind, doc, &o); err != nil {
				return nil, err
			}
			if p := o.Spec.ConcurrencyPolicy; !slices.Contains([]batchv1.ConcurrencyPolicy{batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent}, p) {
				return nil, fmt.Errorf("%s: concurrencyPolicy %q", kind, p)
			}
			pods = append(pods, o.Spec.JobTemplate.Spec.Template.Spec)
		case "batch/v1 Job":
			var o batchv1.Job
			if err := decode(kind, doc, &o); err != nil {
				return nil, err
			}
			if err := failurePolicy(o.Spec); err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
			pods = append(pods, o.Spec.Template.Spec)
		case "v1 PersistentVolumeClaim":
			var o corev1.PersistentVolumeClaim
			if err := decode(kind, doc, &o); err != nil {
				return nil, err
			}
			claims[o.Name] = true
		default:
			return nil, fmt.Errorf("%s: an unexpected kind", kind)
		}
		kinds = append(kinds, kind)
	}
	for _, p := range pods {
		if err := pod(p, claims); err != nil {
			return nil, err
		}
	}
	return kinds, nil
}

// decode is strict about the case of the names too, which UnmarshalStrict is not. So it compares with the names that the
// object has when it is written again.
func decode(kind string, doc []byte, o runtime.Object) error {
	if err := yaml.UnmarshalStrict(doc, o); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	out, err := yaml.Marshal(o)
	if err != nil {
		return err
	}
	var was, is any
	if err := errors.Join(yaml.Unmarshal(doc, &was), yaml.Unmarshal(out, &is)); err != nil {
		return err
	}
	if path := lost(was, is, ""); path != "" {
		return fmt.Errorf("%s: the API does not know %s", kind, path)
	}
	return nil
}

// lost returns the path of a field of was that is has not.
func lost(was, is any, path string) string {
	switch w := was.(type) {
	case map[string]any:
		i, _ := is.(map[string]any)
		for name, value := range w {
			if _, ok := i[name]; !ok {
				return path + "." + name
			}
			if p := lost(value, i[name], path+"."+name); p != "" {
				return p
			}
		}
	case []any:
		i, _ := is.([]any)
		for n, value := range w {
			if n >= len(i) {
				return fmt.Sprintf("%s[%d]", path, n)
			}
			if p := lost(value, i[n], fmt.Sprintf("%s[%d]", path, n)); p != "" {
				return p
			}
		}
	}
	return ""
}

// failurePolicy checks the rules of a Job against its pod.
func failurePolicy(job batchv1.JobSpec) error {
	if job.PodFailurePolicy == nil {
		return nil
	}
	if job.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		return errors.New("podFailurePolicy needs restartPolicy: Never")
	}
	for _, rule := range job.PodFailurePolicy.Rules {
		if !slices.Contains([]batchv1.PodFailurePolicyAction{batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionFailIndex, batchv1.PodFailurePolicyActionIgnore, batchv1.PodFailurePolicyActionCount}, rule.Action) {
			return fmt.Errorf("podFailurePolicy: action %q", rule.Action)
		}
		codes := rule.OnExitCodes
		if codes == nil {
			continue
		}
		if codes.Operator != batchv1.PodFailurePolicyOnExitCodesOpIn && codes.Operator != batchv1.PodFailurePolicyOnExitCodesOpNotIn {
			return fmt.Errorf("podFailurePolicy: operator %q", codes.Operator)
		}
		if !slices.IsSorted(codes.Values) {
			return fmt.Errorf("podFailurePolicy: the values %v are not in order", codes.Values)
		}
		if n := codes.ContainerName; n != nil && !slices.ContainsFunc(job.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == *n }) {
			return fmt.Errorf("podFailurePolicy: no container %q", *n)
		}
	}
	return nil
}

// pod checks that the parts of a pod fit together, and that its claims are among claims.
func pod(p corev1.PodSpec, claims map[string]bool) error {
	if p.RestartPolicy != corev1.RestartPolicyNever && p.RestartPolicy != corev1.RestartPolicyOnFailure {
		return fmt.Errorf("restartPolicy %q: a job takes Never and OnFailure", p.RestartPolicy)
	}
	volumes := map[string]bool{}
	for _, v := range p.Volumes {
		volumes[v.Name] = true
		if c := v.PersistentVolumeClaim; c != nil && !claims[c.ClaimName] {
			return fmt.Errorf("volume %s: no claim %q", v.Name, c.ClaimName)
		}
	}
	for _, c := range p.Containers {
		if c.Name == "" || c.Image == "" {
			return errors.New("a container has neither a name nor an image")
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				return fmt.Errorf("container %s: no volume %q", c.Name, m.Name)
			}
		}
	}
	return nil
}
