//go:build linux

package shared

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"idem/test/chaos/lab"
	"idem/test/chaos/shared/hosts"
)

// key is a key with its journal.
type key struct {
	name    string
	rerun   bool // --on-interrupted rerun, else refuse
	journal *lab.Journal
	operate sync.Mutex // held by the operator
	acks    int        // by stage.mu
	calls   int        // by stage.mu
}

// newKey returns a new key. Every other one is of the policy rerun.
func (r *stage) newKey(prefix string) *key {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.keys)
	k := &key{name: fmt.Sprintf("%s.%d", prefix, n), rerun: n%2 == 1}
	var err error
	k.journal, err = lab.OpenJournal(r.journalPath(k.name))
	lab.Must(err)
	r.keys = append(r.keys, k)
	return k
}

func (r *stage) journalPath(key string) string {
	return filepath.Join(r.Dir, "keys", key+".journal")
}

// events returns the journal of a key.
func (r *stage) events(k *key) []lab.Event {
	events, err := lab.ReadJournal(r.journalPath(k.name))
	lab.Must(err)
	return events
}

// count counts the events of a kind.
func count(events []lab.Event, kind lab.Kind) (n int) {
	for _, e := range events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// command returns the command of a key. With a time, it works for that time and succeeds.
func (r *stage) command(k *key, works ...time.Duration) []string {
	c := []string{r.Self, "shared-command", r.journalPath(k.name), r.journalPath(k.name) + ".lock", r.scale.String()}
	for _, d := range works {
		c = append(c, d.String())
	}
	return c
}

// call is a call for a key that is under way.
type call struct {
	*waiter
	k  *key
	id string
}

// beginRun begins a call for a key, and logs it in the key's journal. who tells the calls of
// a machine apart. It returns nil if the machine is off.
func (r *stage) beginRun(m *machine, k *key, who string, flags, command []string) *call {
	r.mu.Lock()
	k.calls++
	id := fmt.Sprintf("%s/%s.%s.%d", k.name, m.name, who, k.calls)
	r.mu.Unlock()
	args := append([]string{"run", "--key", k.name}, flags...)
	if k.rerun {
		args = append(args, "--on-interrupted", "rerun")
	}
	args = append(append(args, "--"), command...)
	k.journal.Add(lab.Event{Kind: lab.Called, Call: id})
	r.note("call %s", id)
	w, err := m.begin(id, strings.ReplaceAll(id, "/", ":"), m.url, args...)
	if err != nil {
		k.journal.Add(lab.Event{Kind: lab.Returned, Call: id, Code: lab.ExitLedger}) // nothing was called
		return nil
	}
	return &call{w, k, id}
}

// finish waits for the end of the call and logs it.
func (c *call) finish() reply {
	if c == nil {
		return reply{code: hosts.Dead}
	}
	a := c.end()
	run := ""
	if a.code == 0 {
		run = runOf(a)
	}
	c.k.journal.Add(lab.Event{Kind: lab.Returned, Call: c.id, Run: run, Code: a.code})
	c.m.stage.note("return %s %d %s", c.id, a.code, strings.ReplaceAll(strings.TrimSpace(a.err()), "\n", " | "))
	return a
}

// run makes one call for a key, and logs it in the key's journal. It keeps the output only
// if that may have to be read.
func (r *stage) run(m *machine, k *key, who string, flags, command []string) reply {
	c := r.beginRun(m, k, who, flags, command).finish()
	if c.file != "" && (c.code == 0 || c.code == lab.ExitBusy) {
		_ = os.Remove(c.file + ".out")
		_ = os.Remove(c.file + ".err")
	}
	return c
}

// started waits until a command of the call has logged its start, or until the call ends.
func (c *call) started() bool {
	for {
		for _, e := range c.m.stage.events(c.k) {
			if e.Kind == lab.Started && e.Call == c.id {
				return true
			}
		}
		select {
		case <-c.Done():
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// runOf returns the run whose output a call printed, "" for no output, or "garbage" if the
// output is not that of a whole run.
func runOf(c reply) string {
	out := c.out()
	if out == "" {
		return ""
	}
	line, rest, _ := strings.Cut(out, "\n")
	run, ok := strings.CutPrefix(line, "run ")
	if !ok || strings.ContainsAny(run, " ;") || rest != string(lab.CommandOutput(run, workOf(run, time.Second).output)) {
		return "garbage"
	}
	return run
}

// record is a record as idem list --json prints it.
type record struct {
	Key   string `json:"key"`
	Run   string `json:"run_id"`
	State string `json:"state"`
	Fence int    `json:"fence"`
}

// records reads all records of the ledger. A program of the command line may have no list,
// and then records returns nil.
func (r *stage) records(m *machine) map[string]record {
	c := m.call("", "list", m.url, "list", "--json", "--limit", "0")
	if r.Given && c.code == 0 && c.out() == "" {
		return nil
	}
	var all []record
	if err := json.Unmarshal([]byte(c.out()), &all); c.code != 0 || err != nil {
		r.trouble.add(noLoss, "", "idem list: status %d: %v: %s", c.code, err, c.err())
	}
	found := map[string]record{}
	for _, x := range all {
		found[x.Key] = x
	}
	return found
}

// logKill logs in the journal of a call's key that the call is about to be hit.
func (r *stage) logKill(kind lab.Kind, call string) {
	name, _, ok := strings.Cut(call, "/")
	if !ok {
		return
	}
	r.mu.Lock()
	i := slices.IndexFunc(r.keys, func(k *key) bool { return k.name == name })
	r.mu.Unlock()
	if i >= 0 {
		r.keys[i].journal.Add(lab.Event{Kind: kind, Call: call})
		r.note("%s %s", kind, call)
	}
}

// evidence returns the last events of a key's journal.
func (r *stage) evidence(f lab.Fault) string {
	events, _ := lab.ReadJournal(r.journalPath(f.Key))
	var b strings.Builder
	const lines = 30
	last := f.At
	if last < 0 {
		last = len(events) - 1
	}
	for i := max(0, last-lines); i <= last; i++ {
		fmt.Fprintf(&b, "\n  %4d %s", i, events[i])
	}
	fmt.Fprintf(&b, "\n  (times are in %s)", filepath.Join(r.Dir, "events"))
	return b.String()
}

// note writes a line with the time into the file events, to read after a fault.
func (r *stage) note(format string, args ...any) {
	_, err := fmt.Fprintf(r.log, "%8.3f "+format+"\n", append([]any{time.Since(r.born).Seconds()}, args...)...)
	lab.Must(err)
}
