package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/proc"
)

// kit makes the calls of one key on a ledger in memory. Each call has its own handle,
// as separate processes would.
type kit struct {
	*testing.T
	mem  *ledgertest.Mem
	id   ledger.ID
	dir  string
	runs atomic.Int64
}

func newKit(t *testing.T) *kit {
	return &kit{T: t, mem: ledgertest.NewMem(), id: ledger.ID{Namespace: "default", Key: "k"}, dir: t.TempDir()}
}

// job is a command that writes to both streams, counts its executions in the file
// side, and exits with the status in the file exit.
var job = []string{"sh", "-c", `echo x >>side; echo out; echo err >&2; exit $(cat exit 2>/dev/null || echo 0)`}

const jobOut, jobErr = "out\n", "err\n"

// testCall is a call with its own runner.
type testCall struct {
	Runner
	Call
	end Event // the event of EndHooks; "": it is not called
}

// call returns a call of argv with the default policy.
func (k *kit) call(argv ...string) testCall {
	in := hashkey.Argv(argv)
	return testCall{
		Runner: Runner{
			Now: time.Now, NewRunID: func() string { return fmt.Sprintf("run-%d", k.runs.Add(1)) },
			Owner: func() ledger.Owner { return ledger.Owner{Host: "here", PID: os.Getpid()} },
			Environ: func(a Attempt) []string {
				return append(os.Environ(), fmt.Sprintf("ATTEMPT=%d", a.Number), fmt.Sprintf("FENCE=%d", a.Fence), "RUN="+a.RunID, fmt.Sprintf("GENERATION=%d", a.Generation))
			},
			Backlog: func() (proc.Backlog, error) { return os.CreateTemp(k.dir, "scratch") },
		},
		Call: Call{
			ID: k.id, Argv: argv, Inputs: Inputs{Fingerprint: in.Fingerprint(), Encoded: in.Encode()}, Output: Output{Max: -1},
		},
	}
}

// run makes the call in a ledger. The result has the faults of all hooks.
func (c testCall) run(ctx context.Context, l ledger.Ledger) (Result, error) {
	c.Ledger = l
	res, err := c.Run(ctx, c.Call)
	if c.end != "" {
		faults, fatal := c.EndHooks(ctx, c.Call, c.end, res, err)
		res.HookFaults = append(res.HookFaults, faults...)
		res.Fatal = max(res.Fatal, fatal)
	}
	return res, err
}

// ask returns what the call would do in a ledger.
func (c testCall) ask(ctx context.Context, l ledger.Ledger) (Result, error) {
	c.Ledger = l
	return c.Ask(ctx, c.Call, false)
}

// outcome is the result of a call, with its output.
type outcome struct {
	Result
	err         error
	out, errOut string // stdout and stderr
}

// run makes a call and returns its output.
func (k *kit) run(l ledger.Ledger, c testCall) outcome {
	k.Helper()
	return k.runContext(k.Context(), l, c)
}

func (k *kit) runContext(ctx context.Context, l ledger.Ledger, c testCall) outcome {
	k.Helper()
	stdin, err := os.Open(os.DevNull)
	must(k.T, err)
	defer stdin.Close()
	var streams [2]*os.File
	for i := range streams {
		streams[i], err = os.CreateTemp(k.dir, "stream")
		must(k.T, err)
		defer streams[i].Close()
	}
	c.Stdin, c.Live = stdin, Streams{streams[0], streams[1]}
	c.Replayed = c.Live
	var o outcome
	o.Result, o.err = c.run(ctx, l)
	for i, s := range []*string{&o.out, &o.errOut} {
		b, err := os.ReadFile(streams[i].Name())
		must(k.T, err)
		*s = string(b)
	}
	return o
}

// in makes argv run in the directory of the kit. A call never changes the directory.
func (k *kit) in(argv []string) []string {
	return append([]string{"sh", "-c", `cd "$0" && exec "$@"`, k.dir}, argv...)
}

// job returns a call of job.
func (k *kit) job() testCall { return k.call(k.in(job)...) }

func (k *kit) shell(script string) testCall { return k.call(k.in([]string{"sh", "-c", script})...) }

// first makes a call on a new handle.
func (k *kit) first(c testCall) outcome {
	k.Helper()
	return k.run(k.mem.Open(), c)
}

func (k *kit) path(name string) string { return filepath.Join(k.dir, name) }

func (k *kit) write(name, content string) {
	k.Helper()
	must(k.T, os.WriteFile(k.path(name), []byte(content), 0o600))
}

// side returns how often job was executed.
func (k *kit) side() int {
	b, _ := os.ReadFile(k.path("side"))
	return strings.Count(string(b), "x")
}

func (k *kit) record() ledger.Record {
	k.Helper()
	r, err := k.mem.Open().Get(context.Background(), k.id)
	must(k.T, err)
	return r
}

func (k *kit) attempts() []ledger.Attempt {
	k.Helper()
	a, err := k.mem.Open().Attempts(context.Background(), k.id)
	must(k.T, err)
	return a
}

// want checks the decision and the output of a call.
func (k *kit) want(o outcome, d Decision, out, errOut string) {
	k.Helper()
	if o.err != nil {
		k.Fatalf("got error %v", o.err)
	}
	if o.Decision != d || o.out != out || o.errOut != errOut || o.Unrecorded != nil || o.Streams != nil {
		k.Fatalf("got %v, stdout %q, stderr %q, unrecorded %v, streams %v; want %v, %q, %q",
			o.Decision, o.out, o.errOut, o.Unrecorded, o.Streams, d, out, errOut)
	}
}

// until waits until f returns true, and fails the test after a minute.
func (k *kit) until(what string, f func() bool) {
	k.Helper()
	for begin := time.Now(); !f(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			k.Fatalf("timed out waiting for %s", what)
		}
	}
}

// started makes a call in the background and returns when its script runs. The script
// goes on after goOn is called, and result gets the outcome.
func (k *kit) started(l ledger.Ledger, then string) (result chan outcome, goOn func()) {
	k.Helper()
	c := k.shell(`echo x >>side; while [ ! -e go ]; do sleep 0.01; done; echo out; ` + then)
	result = make(chan outcome, 1)
	go func() { result <- k.run(l, c) }()
	k.until("the start", func() bool { return k.side() > 0 })
	return result, func() { k.write("go", "") }
}

// startedCall returns the call that started makes.
func (k *kit) startedCall(then string) testCall {
	return k.shell(`echo x >>side; while [ ! -e go ]; do sleep 0.01; done; echo out; ` + then)
}
