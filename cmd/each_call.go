package cmd

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"idem/batch"
	"idem/ledger"
	"idem/runner"
)

// itemRunner returns the runner for the items of a batch.
func (a *app) itemRunner(b *bulk) *runner.Runner {
	outer := slices.DeleteFunc(outerEnviron(), func(kv string) bool { // of an outer batch
		return strings.HasPrefix(kv, "IDEM_ITEM=") || strings.HasPrefix(kv, "IDEM_ITEM_NO=") || strings.HasPrefix(kv, "IDEM_SLOT=")
	})
	r := &runner.Runner{
		Ledger: b.home.ledger, Now: a.now, NewRunID: newRunID, Owner: sync.OnceValue(owner),
		Redact: b.keep.redactor, Backlog: b.home.backlog,
		Environ: func(at runner.Attempt) []string { return withVariables(outer, b.home.ofAttempt(at)) },
	}
	if b.flags.itemHooks {
		r.Hooks = b.flags.runnerHooks(b.home.unprotected, a.ui.stderr)
	}
	return r
}

// itemCall returns the call of an item.
func (a *app) itemCall(b *bulk, e batch.Entry) runner.Call {
	o := b.flags
	probe, verification := o.questions()
	in := b.list.template.Inputs(&e.Item)
	return runner.Call{
		ID: e.ID, Origin: ledger.Origin{Parent: b.batch, RunID: b.runID},
		Argv: b.list.template.Argv(&e.Item), Path: b.path, Apart: true, Stdin: b.null,
		Inputs: runner.Inputs{Fingerprint: e.Fingerprint, Encoded: b.keep.inputs(in).Encode()},
		Policy: b.policy, Probe: probe, Verification: verification,
		Inside: insideOf(e.ID, b.home.place), Mutexes: o.mutexes,
		Wait:   runner.Wait{Set: !o.noWait},
		Limits: runner.Limits{Timeout: o.timeout.Duration, KillAfter: o.killAfter.Duration},
		OK:     o.ok.set, Retries: o.retryPolicy(),
		Output: runner.Output{Max: o.maxOutput.bytes, None: b.keep.omit.output},
		Env:    itemVars(e),
	}
}

// itemVars returns the variables that describe an item, for all processes of its call.
func itemVars(e batch.Entry) []string {
	vars := []string{"IDEM_ITEM_NO=" + strconv.Itoa(e.No)}
	if len(e.Key) <= maxItemVar {
		vars = append(vars, "IDEM_ITEM="+e.Key)
	}
	return vars
}

// itemCalls has the files of the items that run.
type itemCalls struct {
	app  *app
	bulk *bulk

	mu    sync.Mutex
	stdin map[string]*os.File // with --item-on-stdin, by key
}

func newItemCalls(a *app, b *bulk) *itemCalls {
	return &itemCalls{app: a, bulk: b, stdin: map[string]*os.File{}}
}

// maxItemVar is the length of the longest item that its command gets as IDEM_ITEM. The
// kernel limits a variable to 128 KiB.
const maxItemVar = 64 << 10

// prepare sets what differs between the attempts of an item.
func (c *itemCalls) prepare(t *runner.Task, e batch.Entry, slot int) error {
	call := t.Call()
	call.Env = append(itemVars(e), "IDEM_SLOT="+strconv.Itoa(slot))
	if !c.bulk.flags.onStdin {
		return nil
	}
	f, err := c.itemFile(e.Stdin())
	if err != nil {
		return err
	}
	c.keep(e.ID.Key, f)
	call.Stdin = f
	return nil
}

// maxPipe is the number of bytes that any pipe takes at once.
const maxPipe = 4096

// itemFile returns a file with the content of an item.
func (c *itemCalls) itemFile(content string) (*os.File, error) {
	if len(content) <= maxPipe {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		_, err = w.WriteString(content)
		return r, joinClose(w, err)
	}
	f, err := c.bulk.home.Scratch()
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(content); err != nil {
		return nil, joinClose(f, err)
	}
	_, err = f.Seek(0, 0)
	return f, err
}

// joinClose closes a file, and returns err or else the error of closing.
func joinClose(f *os.File, err error) error {
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// keep holds the stdin of an item until it ends, and closes that of its earlier attempt.
func (c *itemCalls) keep(key string, f *os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.stdin[key]; old != nil {
		_ = old.Close()
	}
	if f == nil {
		delete(c.stdin, key)
	} else {
		c.stdin[key] = f
	}
}

// done closes the files of an item that has ended.
func (c *itemCalls) done(n batch.Notice) {
	if c.bulk.flags.onStdin && (n.Kind == batch.KindEnd || n.Kind == batch.KindRetry) {
		c.keep(n.ID.Key, nil)
	}
}
