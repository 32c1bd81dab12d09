package cmd_test

// A way is one way to give one flag, with a script in which the flag changes
// the observed result. sh runs the script in a separate directory. $F are the
// flags of the observed call: the flag or not, the flags that it requires, and
// another flag. $P are the flags of $F that select the record. $I are the flags
// of $P and the inputs, for earlier calls.
type way struct {
	flag string
	args string
	with string // the flags that it requires
	// ready reports that the flag is a rule for an outcome that the flags in with
	// make possible. Such a flag is accepted without them, because it may be in
	// every call.
	ready bool
	as    string // the flag as the other one of a pair, if args suit the script alone
	kind  kind
	// lone reports that the flags that change a replay have no effect next to this one
	// in a script, because only calls at the same time have a replay then.
	lone bool
	// before is the flag in the earlier calls of the same script; "-" means not at
	// all.
	before string
	script string
}

// A kind says which earlier calls have the flag as well.
type kind int

const (
	policy kind = iota // none
	place              // all: without the flag they select another record
	input              // the calls that must have the same inputs
)

const (
	mismatched  = `idem run --key k $P -- true a >/dev/null 2>&1; call true b`
	interrupted = `printf '#!/bin/sh\nkill -9 $PPID $$\n' >cmd; first ./cmd 2>/dev/null; printf '#!/bin/sh\necho x >>side\n' >cmd; call ./cmd`
	succeeded   = `first sh -c 'echo x >>side; echo out; echo err >&2' >/dev/null 2>&1; call sh -c 'echo x >>side; echo out; echo err >&2'`
	failed      = `first sh -c 'echo x >>side; exit 3'; call sh -c 'echo x >>side; exit 3'`
	cut         = `first --max-output 2 -- seq 1 5 >/dev/null 2>&1; call seq 1 5`
	running     = `first sh -c 'touch running; until test -e go; do sleep 0.01; done' & n=0; until test -e running; do sleep 0.01; done
(until test -e tried || grep -q waiting err || test $n = 100; do n=$((n+1)); sleep 0.01; done; touch go) &
: >err; call sh -c 'touch running; until test -e go; do sleep 0.01; done' 2>err; touch tried; wait; cat err >&2`
	held = `idem run $P --key holder --mutex m -- sh -c 'touch running; until test -e go; do sleep 0.01; done' & n=0; until test -e running; do sleep 0.01; done
(until test -e tried || grep -q waiting err || test $n = 100; do n=$((n+1)); sleep 0.01; done; touch go) &
: >err; call true 2>err; touch tried; wait; cat err >&2`
	unusable  = `touch bad; idem run --key k $F --ledger bad -- sh -c 'echo x >>side'; echo $?`
	unwritten = `idem run --key k $F -- echo hi >/dev/full; echo $?`
)

// ways has every flag of idem run. TestPairsHaveEveryFlag fails for a missing
// flag.
var ways = []way{
	{flag: "key", args: "--key other", as: "--key k", kind: place, before: "-", script: `call true`},
	{flag: "allow-empty-parts", args: "--allow-empty-parts", with: "--key k", script: `idem run $F --key k: -- true; echo $?`},
	{flag: "per", args: "--per day", kind: place, before: "-", script: `call true`},
	{flag: "per", args: "--per 15m", kind: place, before: "-", script: `call true`},
	{flag: "per", args: "--per boot", kind: place, before: "-", script: `call true`},
	{flag: "tz", args: "--tz Europe/Berlin", with: "--per day", kind: place, before: "-", script: `call --at @1577835000 true; call --at @1577849400 true`},
	{flag: "at", args: "--at @1577847600", with: "--per day", kind: place, before: "-", script: `call true`},
	{flag: "day-start", args: "--day-start 04:00", with: "--per day", kind: place, before: "-", script: `call --at @1577844000 true`},
	{flag: "ttl", args: "--ttl 1ms", as: "--ttl 1h", script: succeeded + `; call other`},
	{flag: "hash", args: "--hash none", kind: input, script: `first sh -c 'echo x >>side' a; call sh -c 'echo x >>side' b`},
	{flag: "hash-ignore", args: "--hash-ignore ^-v", kind: input, script: `first sh -c 'echo x >>side'; call sh -c 'echo x >>side' -v`},
	{flag: "hash-cwd", args: "--hash-cwd", kind: input, script: `first sh -c 'echo x >>../side'; cd sub; call sh -c 'echo x >>../side'; cd ..`},
	{flag: "hash-value", args: "--hash-value v=2", before: "--hash-value v=1", kind: input, script: succeeded},
	{flag: "hash-env", args: "--hash-env X", kind: input, script: `export X=1; first sh -c 'echo x >>side'; export X=2; call sh -c 'echo x >>side'`},
	{flag: "hash-file", args: "--hash-file f", kind: input, script: `echo 1 >f; first sh -c 'echo x >>side'; echo 2 >f; call sh -c 'echo x >>side'`},
	{flag: "hash-file-optional", args: "--hash-file-optional g", kind: input, script: `echo 1 >g; first sh -c 'echo x >>side'; echo 2 >g; call sh -c 'echo x >>side'`},
	{flag: "hash-stdin", args: "--hash-stdin", kind: input, script: `echo 1 | first sh -c 'echo x >>side'; echo 2 | call sh -c 'echo x >>side'`},
	{flag: "max-stdin", args: "--max-stdin 1", with: "--hash-stdin", script: `echo 12 | call true`},

	{flag: "on-failure", args: "--on-failure replay", script: failed + `; again k8 'exit 4'`},
	{flag: "on-failure", args: "--on-failure refuse", script: failed + `; again k8 'exit 4'`},
	{flag: "on-interrupted", args: "--on-interrupted rerun", script: interrupted},
	{flag: "resumable", args: "--resumable", script: interrupted},
	{flag: "on-mismatch", args: "--on-mismatch rerun", with: "--key k", script: mismatched},
	{flag: "final", args: "--final 3", script: failed + `; idem run --key r $F --retries 1 --retry-delay 1ms -- sh -c 'echo x >>side; exit 3'`},
	{flag: "max-attempts", args: "--max-attempts 2", script: `first false; first false; call false; idem mark $G retry --latest k; call false`},
	{flag: "force", args: "--force", script: succeeded},
	{flag: "probe", args: "--probe ./probe", script: `echo 0 >answer; ` + interrupted},
	{flag: "probe-first", args: "--probe-first", with: "--probe ./probe", script: `echo 0 >answer; call true`},
	{flag: "probe-on", args: "--probe-on signal", with: "--probe ./probe", script: `echo 0 >answer; first sh -c 'kill -9 $$' 2>/dev/null; call sh -c 'kill -9 $$'`},
	{flag: "rerun-within", args: "--rerun-within 1ms", as: "--rerun-within 1h", script: `first false; call false; idem mark $G retry --latest k; call false`},
	{flag: "verify", args: "--verify ./check", script: `echo 1 >checked; ` + succeeded},
	{flag: "on-unverified", args: "--on-unverified rerun", with: "--verify ./check", script: `echo 2 >checked; ` + succeeded},
	{flag: "on-unverified", args: "--on-unverified replay", with: "--verify ./check", script: `echo 2 >checked; ` + succeeded},
	{flag: "probe-timeout", args: "--probe-timeout 0.05", with: "--probe ./probe"}, // timing
	{flag: "wait", args: "--wait", script: running},
	{flag: "wait", args: "--wait=0.05", script: running},
	{flag: "wait", args: "--wait=fresh", lone: true, script: succeeded},
	{flag: "mutex", args: "--mutex m", script: held},
	{flag: "ok", args: "--ok 5", script: `call sh -c 'echo x >>side; exit 5'`},
	{flag: "ok", args: "--ok 5=keep", script: `call sh -c 'echo x >>side; exit 5'`},
	{flag: "retries", args: "--retries 1 --retry-delay 1ms", script: `call sh -c 'echo x >>side; exit 6'`},
	{flag: "retry-delay", args: "--retry-delay 1ms", with: "--retries 1"},         // timing
	{flag: "retry-max-delay", args: "--retry-max-delay 1ms", with: "--retries 1"}, // timing
	{flag: "retry-on", args: "--retry-on 4", with: "--retries 1 --retry-delay 1ms", script: `call sh -c 'echo x >>side; exit 6'`},
	{flag: "timeout", args: "--timeout 0.05", as: "--timeout 10m", script: `call sleep 1`},
	{flag: "kill-after", args: "--kill-after 0.05", with: "--timeout 10m"}, // timing
	{flag: "lease", args: "--lease 1m"},                                    // in a shared ledger
	{flag: "on-lost", args: "--on-lost keep"},                              // in a shared ledger
	{flag: "finish-timeout", args: "--finish-timeout 1m"},                  // in a shared ledger
	{flag: "quiet-ok", args: "--quiet-ok", script: `call echo hi`},
	{flag: "max-output", args: "--max-output 2", script: `call seq 1 5`},
	{flag: "max-output", args: "--max-output 0", script: `call seq 1 5`},
	{flag: "quiet", args: "--quiet", script: `call 'echo hi'; ` + mismatched},
	{flag: "verbose", args: "--verbose", script: `call true`},
	{flag: "replay", args: "--replay none", script: succeeded + `; again k2 'echo out; exit 3'`},
	{flag: "replay", args: "--replay stdout", script: succeeded + `; again k2 'echo err >&2; exit 3'`},
	{flag: "replay", args: "--replay stderr", script: succeeded + `; again k2 'echo out; exit 3'`},
	{flag: "partial", args: "--partial", script: cut},
	{flag: "exact", args: "--exact", script: cut},
	{flag: "no-store", args: "--no-store output", script: `call echo hi`},
	{flag: "no-store", args: "--no-store args", script: `call ./show hi; echo : >>show; idem explain $I --key k -- ./show hi | grep -v attempt`},
	{flag: "no-store", args: "--no-store all", script: `call echo hi`},
	{flag: "redact", args: "--redact secret", script: `call echo secret; idem run $F --key a-secret -- true; echo $?`},
	{flag: "redact-env", args: "--redact-env SECRET", script: `export SECRET=hunter22; call echo hunter22; idem run $F --key a-hunter22 -- true; echo $?`},
	{flag: "tty", args: "--tty", script: `call sh -c 'test -t 1 && echo tty >>side'`},
	{flag: "replay-file", args: "--replay-file rf", script: `call sh -c 'echo x >>rf'; idem show $G --latest k | grep rf`},
	{flag: "hook", args: "--hook start=./hook", script: `call true`},
	{flag: "hook", args: "--hook success=./hook", script: `call true`},
	{flag: "hook", args: "--hook failure=./hook", script: `call sh -c 'exit 7'`},
	{flag: "hook", args: "--hook timeout=./hook", ready: true, with: "--timeout 0.05", script: `call sleep 1`},
	{flag: "hook", args: "--hook replay=./hook", script: succeeded},
	{flag: "hook", args: "--hook busy=./hook", script: running},
	{flag: "hook", args: "--hook mismatch=./hook", with: "--key k", script: mismatched},
	{flag: "hook", args: "--hook interrupted=./hook", script: interrupted},
	{flag: "hook", args: "--hook refused,ledger=./hook", script: `call --hash-file 'x/[' true; echo x >place; call --ledger place true`},
	{flag: "hook", args: "--hook end=./hook", script: `call true; call --hash-file 'x/[' true; call sh -c 'rm -r ledger'`},
	{flag: "no-stdin", args: "--no-stdin", script: `echo in | call cat`},
	{flag: "meta-file", args: "--meta-file meta", script: `call true; grep -o action meta`},
	{flag: "meta-fd", args: "--meta-fd 9", script: `call true 9>fd; grep -o action fd`},
	{flag: "json", args: "--json", script: `call echo hi`},
	{flag: "exit-code", args: "--exit-code running=9", script: running},
	{flag: "exit-code", args: "--exit-code mismatch=9", with: "--key k", script: mismatched},
	{flag: "exit-code", args: "--exit-code interrupted=9", script: interrupted},
	{flag: "exit-code", args: "--exit-code failed=9", ready: true, with: "--on-failure refuse", script: failed + `; again k8 'exit 4'`},
	{flag: "exit-code", args: "--exit-code ledger=9", script: unusable + `; first --max-output 2 -- seq 1 5 >/dev/null 2>&1; call --exact -- seq 1 5`},
	{flag: "exit-code", args: "--exit-code output=9", script: cut + `; idem run $F --key k4 -- echo hi >/dev/full; echo $?`},
	{flag: "exit-code", args: "--exit-code replayed=9", script: succeeded},
	{flag: "exit-code", args: "--exit-code executed=9", script: `call true`},
	{flag: "on-ledger-error", args: "--on-ledger-error run", script: unusable},
	{flag: "ledger", args: "--ledger ledger2", kind: place, before: "-", script: `call true`},
	{flag: "connect-timeout", args: "--connect-timeout 1"}, // to a shared ledger
	{flag: "namespace", args: "--namespace n", kind: place, before: "-", script: `call true`},
	{flag: "trust-place", args: "--trust-place", kind: place, script: `mkdir -m 777 w; chmod 777 w; idem run --key k $F --ledger w/l -- true; echo $?`},
}
