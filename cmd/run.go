package cmd

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/sqlite"
	"idem/proc"
	"idem/runner"
)

// runOptions are the flags of idem run.
type runOptions struct {
	key             string
	allowEmptyParts bool
	onFailure       choice
	onInterrupted   choice
	onMismatch      choice
	force           bool
	wait            wait
	replay          choice
	maxOutput       size
	metaFile        string
	metaFD          int
	exitCodes       exitCodes
}

const runLong = `Run a command once per key.

The first call runs the command and records its exit status and its output.
After a success, every other call with the key and the same arguments replays
both and does not start the command. After a failure the command runs again.
Flags of idem stand before the command; "--" ends them.`

const runExample = `  idem run --key "deploy:prod:$(git rev-parse HEAD)" -- ./deploy.sh prod
  idem run --key "webhook:$EVENT_ID" --wait=30s -- ./handle.sh "$EVENT_ID"
  7 2 * * *  idem run --key "backup:$(date +\%F)" --on-interrupted rerun -- backup.sh`

func (a *app) runCommand() *cobra.Command {
	o := &runOptions{
		onFailure:     choice{value: string(runner.Rerun), of: []string{"rerun", "replay", "refuse"}},
		onInterrupted: choice{value: string(runner.RefuseIt), of: []string{"refuse", "rerun"}},
		onMismatch:    choice{value: string(runner.RefuseIt), of: []string{"refuse", "rerun"}},
		replay:        choice{value: "all", of: []string{"all", "stdout", "stderr", "none"}},
		maxOutput:     size{bytes: 64 << 20, text: "64MiB"},
		metaFD:        noMetaFD,
		exitCodes:     exitCodes{},
	}
	c := &cobra.Command{
		Use:     "run --key KEY [flags] [--] COMMAND [ARG...]",
		Short:   "Run a command once per key",
		Long:    runLong + "\n\n" + exitHelp(),
		Example: runExample,
		RunE:    func(c *cobra.Command, args []string) error { return a.run(c.Context(), o, args) },
	}
	f := c.Flags()
	f.SetInterspersed(false) // what follows the command is the command's
	f.SortFlags = false
	f.StringVar(&o.key, "key", "", "`KEY` that names the operation, 1 to 255 bytes of UTF-8")
	f.BoolVar(&o.allowEmptyParts, "allow-empty-parts", false, "permit a key such as \"deploy:\", which mostly means an unset variable")
	f.Var(&o.wait, "wait", "wait while the key is running, at most `DURATION` (--wait=30s; alone: as long as it\ntakes), then share: replay a success, run after a failure")
	f.Lookup("wait").NoOptDefVal = waitForever
	f.Var(&o.onFailure, "on-failure", "after a failure: `CHOICE` of rerun, replay or refuse (status 80)")
	f.Var(&o.onInterrupted, "on-interrupted", "after an attempt whose end nobody saw: `CHOICE` of refuse (status 79) or rerun")
	f.Var(&o.onMismatch, "on-mismatch", "when the key is recorded with other arguments: `CHOICE` of refuse (status 65) or rerun")
	f.BoolVar(&o.force, "force", false, "run again also after a success; never while it runs")
	f.Var(&o.replay, "replay", "which streams a replay writes: `CHOICE` of all, stdout, stderr or none")
	f.Var(&o.maxOutput, "max-output", "how much output to record: `SIZE` such as 10MiB, 0, or unlimited; over it, the head and\nthe last 1 MiB are kept (the live output is never cut)")
	f.StringVar(&o.metaFile, "meta-file", "", "write one JSON object about the call to `PATH`")
	f.IntVar(&o.metaFD, "meta-fd", noMetaFD, "write it to the open descriptor `N`")
	f.Lookup("meta-fd").DefValue = "0" // pflag shows no default that is zero
	f.Var(o.exitCodes, "exit-code", "use status N for `NAME=N`: running, mismatch, interrupted, failed or ledger; repeatable\n(--exit-code running=0 for a quiet cron)")
	f.BoolVarP(&a.ui.quiet, "quiet", "q", false, "no hints and warnings, only errors")
	f.BoolVarP(&a.ui.verbose, "verbose", "v", false, "say also what went as expected")
	return c
}

func (a *app) run(ctx context.Context, o *runOptions, args []string) error {
	args = o.wait.claimDetached(args)
	if len(args) == 0 {
		return usage("no command to run").hint("idem run --key KEY -- COMMAND [ARG...]")
	}
	if args[0] == "" {
		return usage("the command is empty: a variable may be unset")
	}
	if o.key == "" {
		return usage("no key: --key is missing or empty").hint("name the operation, and the one thing it is about: idem run --key deploy:prod:4f2c1e -- %s", commandLine(args))
	}
	if strings.HasPrefix(o.key, "-") && !slices.Contains(a.args, "--key="+o.key) {
		return usage("--key has no value: a variable may be unset").hint("a key that begins with a dash is written --key=%s", shellQuote(o.key))
	}
	id, err := a.id(o.key, o.allowEmptyParts)
	if err != nil {
		return err
	}
	meta, err := openMeta(o.metaFile, o.metaFD)
	if err != nil {
		return err
	}
	defer meta.close()
	l, err := openLedger(a.ledger)
	if err != nil {
		meta.write(metaOfError(id, err), &a.ui)
		return a.remapped(o, err)
	}
	call := a.call(o, id, args, l)
	res, err := runner.Run(ctx, l, call)
	signal.Ignore(syscall.SIGPIPE) // our exit status says more; nothing is started any more
	var stopped *proc.SignalError
	if err != nil {
		meta.write(metaOfError(id, err), &a.ui)
	} else {
		meta.write(metaOf(res, call), &a.ui)
	}
	if errors.As(err, &stopped) {
		a.ui.note("%v", err)
		a.exit = 128 + int(stopped.Signal)
		proc.DieOf(stopped.Signal)
		return nil
	}
	var start *proc.StartError
	if errors.As(err, &start) && o.wait.looksLost(args[0]) {
		return a.remapped(o, failureOf(err).hint("the duration of --wait is written behind an equals sign: --wait=%s", args[0]))
	}
	if err != nil {
		return a.remapped(o, err)
	}
	code, f := a.outcome(res, call)
	if f != nil {
		return a.remapped(o, f)
	}
	a.exit = code
	for _, sig := range []syscall.Signal{res.Status.Signal, res.Fatal} {
		if sig != 0 {
			proc.DieOf(sig)
		}
	}
	return nil
}

// remapped applies --exit-code to an error. What the caller wants to be a
// success is no longer an error: cron would mail its message.
func (a *app) remapped(o *runOptions, err error) error {
	f := *failureOf(err)
	f.code = o.exitCodes.of(f.code)
	if f.code == exitOK {
		a.ui.note("%v", f.err)
		return nil
	}
	return &f
}

func (a *app) call(o *runOptions, id ledger.ID, argv []string, l *sqlite.Ledger) runner.Call {
	inputs := hashkey.Argv(argv)
	link := hashkey.Link(l.Dir(), id.Namespace, id.Key, id.Window)
	chain := os.Getenv("IDEM_CHAIN")
	call := runner.Call{
		ID: id, Argv: argv, Fingerprint: inputs.Fingerprint(), Inputs: inputs.Encode(),
		Policy: runner.Policy{
			OnFailure: runner.Choice(o.onFailure.value), OnInterrupted: runner.Choice(o.onInterrupted.value),
			OnMismatch: runner.Choice(o.onMismatch.value), Force: o.force,
			Nested: strings.Contains(":"+chain+":", ":"+link+":"),
		},
		Wait: o.wait.set, WaitFor: o.wait.limit, MaxOutput: o.maxOutput.bytes,
		RunID: newRunID(), Owner: owner,
		Environ: func(at runner.Attempt) []string {
			token := hashkey.Token(id.Namespace, id.Key, id.Window, at.Generation).String()
			return environ(map[string]string{
				"IDEM_KEY": id.Key, "IDEM_NAMESPACE": id.Namespace, "IDEM_WINDOW": id.Window,
				"IDEM_RUN_ID": at.RunID, "IDEM_ATTEMPT": strconv.Itoa(at.Number), "IDEM_FENCE": strconv.FormatInt(at.Fence, 10),
				"IDEM_LEDGER": l.Dir(), "IDEM_TOKEN": token, "IDEM_TOKEN_HEX": strings.ReplaceAll(token, "-", ""),
				"IDEM_CHAIN": strings.TrimPrefix(chain+":"+link, ":"),
			})
		},
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Backlog: func() (proc.Backlog, error) {
			b, err := l.Backlog()
			if err != nil {
				return nil, err // not a nil *sqlite.Backlog
			}
			return b, nil
		},
	}
	if v := o.replay.value; v == "all" || v == "stdout" {
		call.ReplayStdout = os.Stdout
	}
	if v := o.replay.value; v == "all" || v == "stderr" {
		call.ReplayStderr = os.Stderr
	}
	return call
}

// outcome tells what came of a call, and returns its exit status or failure.
func (a *app) outcome(res runner.Result, call runner.Call) (int, *failure) {
	for _, err := range res.Streams {
		// The status stays the command's; that output is missing is told also
		// to who wants no warnings.
		a.ui.line(a.ui.stderr, "", "%v; the output is recorded: idem logs %s", err, keyArg(call.ID.Key))
	}
	key, cur := quote(call.ID.Key), res.Record.Current
	switch {
	case res.Action == runner.Refuse:
		return 0, refusal(res, call)
	case res.Unrecorded != nil:
		f := fail(exitUnrecorded, "the command of key %s ran and %s, but that could not be recorded: %v", key, statusText(res.Status), res.Unrecorded)
		if errors.Is(res.Unrecorded, ledger.ErrCorrupt) {
			return 0, f.hint("what the ledger now remembers of the key, idem cannot say")
		}
		return 0, f.hint("idem show %s tells how the key stands now; when interrupted, settle it: idem mark done|failed|retry %s", keyArg(call.ID.Key), keyArg(call.ID.Key))
	case res.Action == runner.Replay:
		if cur.Truncated {
			a.ui.warn("the recorded output of key %s is not complete (it wrote %d bytes)", key, cur.OutputBytes)
		}
		a.ui.note("replayed key %s: %s %s, %s", key, which(cur), ending(cur), when(cur.Started))
		return cur.ExitCode, nil
	default:
		if cur.Truncated {
			a.ui.warn("not all of the output of key %s could be recorded (%d bytes)", key, cur.OutputBytes)
		}
		if a.ui.verbose {
			a.ui.note("ran key %s: attempt %d %s in %s", key, cur.Number, ending(cur), cur.Ended.Sub(cur.Started).Round(time.Millisecond))
		}
		return cur.ExitCode, nil
	}
}

func statusText(s proc.Status) string {
	if s.Signal != 0 {
		return "died of " + signalName(int(s.Signal))
	}
	return "exited with status " + strconv.Itoa(s.ExitCode)
}

// newRunID returns a UUIDv7, which sorts by time.
func newRunID() string { return uuid.Must(uuid.NewV7()).String() }

// owner says who we are. It is for people to read, so that what cannot be
// found out is left open.
func owner() ledger.Owner {
	host, _ := os.Hostname()
	o := ledger.Owner{Host: host, PID: os.Getpid(), User: strconv.Itoa(os.Geteuid())}
	if u, err := user.LookupId(o.User); err == nil {
		o.User = u.Username
	}
	return o
}

// environ returns our environment with the given variables in place of what
// they were.
func environ(set map[string]string) []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if _, ours := set[name]; !ours {
			env = append(env, kv)
		}
	}
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	return env
}
