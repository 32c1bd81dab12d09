package resume

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"idem/test/chaos/lab"
)

// items is the number of items in a list.
const items = 200

// itemTakes is the duration of the command of an item.
const itemTakes = "5ms"

// someFailed is the exit status of idem each when some items have failed.
const someFailed = 123

// list is a list of items for idem each.
type list struct {
	key, self, dir string
	items          []string
}

// Each is the part each-kill.
func Each(l *lab.Lab) error {
	t := &test{Lab: l, name: "each", goal: 1000}
	if l.Quick {
		t.goal = 60
	}
	return t.run(1, func(n int, dir string) (task, error) {
		w := &list{key: fmt.Sprintf("batch:%d", n), self: l.Self, dir: dir}
		for i := range items {
			w.items = append(w.items, fmt.Sprintf("item-%03d", i))
		}
		return w, os.WriteFile(filepath.Join(dir, "list"), []byte(strings.Join(w.items, "\n")+"\n"), 0o600)
	})
}

func (w *list) parent() string { return w.key }

func (w *list) keys() (keys []string) {
	for _, item := range w.items {
		keys = append(keys, w.key+"/"+item)
	}
	return keys
}

func (w *list) call() []string {
	return []string{"each", "--key", w.key, "-j", "8", "--arg-file", filepath.Join(w.dir, "list"), "--", w.self, "resume-command", w.dir, itemTakes, someFail}
}

func (w *list) settled(code int) bool { return code == someFailed }
