package resume

import (
	"fmt"
	"strings"

	"idem/test/chaos/lab"
)

// stepTakes is the duration of the command of a step. A step of idem takes about as long.
const stepTakes = "15ms"

// script is a run of ten steps.
type script struct {
	key, idem, self, dir string
	steps                []string
}

// Step is the part step-kill.
func Step(l *lab.Lab) error {
	t := &test{Lab: l, name: "run", goal: 1000}
	if l.Quick {
		t.goal = 60
	}
	return t.run(max(1, l.Parallel/2), func(n int, dir string) (task, error) {
		w := &script{key: fmt.Sprintf("deploy:%d", n), idem: l.Idem, self: l.Self, dir: dir}
		for i := range 10 {
			w.steps = append(w.steps, fmt.Sprintf("step-%d", i))
		}
		return w, nil
	})
}

func (w *script) parent() string { return w.key }

func (w *script) keys() (keys []string) {
	for _, step := range w.steps {
		keys = append(keys, w.key+"/"+step)
	}
	return keys
}

func (w *script) call() []string {
	return []string{
		"run", "--key", w.key, "--resumable", "--", w.self, "resume-script", w.idem, w.self, w.dir, strings.Join(w.steps, ","),
	}
}

// settled accepts the statuses of a script that ended at a step that failed or was killed.
func (w *script) settled(code int) bool {
	return code == commandFails || code == 128+lab.SigKill || code == lab.ExitInterrupted
}
