package collect

import (
	"encoding/json"
	"strings"

	"idem/test/chaos/lab"
)

// dropKeys are the flags that forget the keys of a prefix.
var dropKeys = []string{"--keys-older-than", "0", dropPrefix + "*"}

// dropPrefix begins the keys that idem gc may be told to forget.
const dropPrefix = "drop:"

// plan says what a call of idem gc was told to remove.
type plan struct {
	outputs bool
	records map[forgets]bool
}

// flags returns a random call of idem gc, and what it removes.
func (r *collectTest) flags() (args []string, p plan) {
	args = []string{"gc"}
	p.records = map[forgets]bool{}
	chance := func(percent int) bool { return r.rng.IntN(100) < percent }
	if chance(70) {
		args = append(args, "--superseded-older-than", "0")
	}
	switch {
	case chance(50):
		args, p.outputs = append(args, "--outputs-older-than", "0"), true
	case chance(50):
		args, p.outputs = append(args, "--max-bytes", "300KB"), true
	}
	if chance(50) {
		args, p.records[byWindows] = append(args, "--windows-older-than", "0"), true
	}
	if chance(30) {
		args = append(args, "--vacuum", "none")
	}
	if chance(70) || !p.outputs && len(p.records) == 0 {
		args, p.records[byKeys] = append(args, dropKeys...), true
	}
	return args, p
}

// listed is a record as idem list prints it.
type listed struct {
	Key, Window, State string
	Run                string `json:"run_id"`
	Generation         int
	Bytes              int64   `json:"output_bytes"`
	Removed            *string `json:"output_removed_at"`
	Parent             any
}

func (k *listed) name() string { return k.Key + "@" + k.Window }

// forgottenBy returns on whose request the record may be forgotten. A step or an item goes only with its parent.
func (k *listed) forgottenBy() forgets {
	switch {
	case k.Parent != nil:
		return never
	case k.Window != "":
		return byWindows
	case strings.HasPrefix(k.Key, dropPrefix):
		return byKeys
	}
	return never
}

// list returns all records by their names.
func (r *collectTest) list() map[string]listed {
	c := r.succeeds(noOddity, "list", "--jsonl")
	all := map[string]listed{}
	for line := range strings.Lines(c.Stdout()) {
		var k listed
		lab.Must(json.Unmarshal([]byte(line), &k))
		all[k.name()] = k
	}
	return all
}

// found is what one call of idem gc has to remove: records, and outputs.
type found struct {
	plan
	records, outputs map[string]listed
}

// find lists what a call would remove.
func (r *collectTest) find(p plan) found {
	f := found{p, map[string]listed{}, map[string]listed{}}
	for name, k := range r.list() {
		switch settled := k.State == "succeeded" || k.State == "failed"; {
		case settled && p.records[k.forgottenBy()]:
			f.records[name] = k
		case settled && p.outputs && k.Bytes > 0 && k.Removed == nil && k.Parent == nil:
			f.outputs[name] = k
		}
	}
	return f
}

// compare counts what is gone and what is left. It does not count what a caller has changed.
func (f found) compare(now map[string]listed) (gone, left int) {
	for name, was := range f.records {
		if k, ok := now[name]; !ok || k.Generation > was.Generation {
			gone++
		} else {
			left++
		}
	}
	for name, was := range f.outputs {
		switch k := now[name]; {
		case k.Run != was.Run:
		case k.Removed != nil:
			gone++
		default:
			left++
		}
	}
	return gone, left
}

// runsOf returns the run IDs of the attempts of a key.
func (r *collectTest) runsOf(key string) (runs []string) {
	var shown struct {
		Attempts []struct {
			Run string `json:"run_id"`
		}
	}
	lab.Must(json.Unmarshal([]byte(r.succeeds(noOddity, "show", "--json", key).Stdout()), &shown))
	for _, a := range shown.Attempts {
		runs = append(runs, a.Run)
	}
	return runs
}

// removedAny reports whether the JSON of idem gc has something that was or would be removed.
func removedAny(c lab.Call) bool {
	var view struct{ Removed map[string]int }
	if json.Unmarshal([]byte(c.Stdout()), &view) != nil || len(view.Removed) == 0 {
		return true
	}
	for _, n := range view.Removed {
		if n > 0 {
			return true
		}
	}
	return false
}
