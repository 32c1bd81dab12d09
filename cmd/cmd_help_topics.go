package cmd

// flagGroup is a section of idem run --help, and the page of idem help TOPIC.
type flagGroup struct {
	topic string
	title string
	flags []string // in the order shown
	note  string
	// example is a call of idem run.
	example string
}

// flagGroups has every flag of idem run; a test checks that. It is separate from the
// flags, so it costs a call without --help nothing.
var flagGroups = []flagGroup{
	{
		topic: "keys",
		title: "Key",
		flags: []string{"key", "allow-empty-parts"},
		note: `The key names the operation. Calls with the same key, in the same namespace and window, are calls of
the same operation. Parts of a key are usually separated by colons.`,
		example: `idem run --key "deploy:prod:$CI_PIPELINE_ID" -- ./deploy.sh prod`,
	},
	{
		topic: "windows",
		title: "Windows",
		flags: []string{"per", "tz", "at", "day-start", "ttl"},
		note: `With --per, each window has its own record. The start of the call decides the window:
  hour, day, week, month, quarter, year   a window of the calendar
  1m to 12h                               a length that divides a day: 15m, 6h
  boot                                    until the next start of the system

Windows are independent. A run that lasts beyond its window does not stop the run of the next window,
unless both have the same --mutex.

With --ttl, a success expires after a time, counted from the start of its attempt. A job every 15
minutes with --ttl 15m may run only every second time, because its success is a moment too young.
--per 15m runs it once in each window.`,
		example: `idem run --key backup --per day --tz Europe/Berlin --day-start 04:00 -- ./backup.sh`,
	},
	{
		topic: "inputs",
		title: "Inputs",
		flags: []string{"hash", "hash-ignore", "hash-cwd", "hash-value", "hash-env", "hash-file", "hash-file-optional", "hash-stdin", "max-stdin"},
		note: `A call with the same key and different inputs is refused (status 65). The inputs are the command line
and what --hash-* adds. idem stores the command line as it is, and only digests of variables, files
and stdin. Where it prints the command line, it masks arguments that may be secrets.

The content of a directory includes names and bytes, but no times or owners; of a link inside a
directory, it includes the name of the target. The script that runs is not an input unless
--hash-file adds it. A replay with -v notes whether the script has changed.`,
		example: `idem run --key "deploy:$BUILD_TAG" --hash-env TARGET --hash-file config/ -- ./deploy.sh`,
	},
	{
		topic: "outcomes",
		title: "Earlier outcomes",
		flags: []string{"on-failure", "on-interrupted", "resumable", "on-mismatch", "final", "max-attempts", "rerun-within", "force"},
		note: `By default, idem replays a success, runs a failure again, and refuses a key that was interrupted or
recorded with different inputs. These flags change that.

A provider of an API forgets an idempotency key after some time, often 24 hours. A later attempt with
the same IDEM_TOKEN would have a second effect. --rerun-within 23h refuses it: 79 after an interrupted
attempt, also if a probe says "not done", else 80. After idem forget, the next call has a new IDEM_TOKEN.`,
		example: `idem run --key "import:$ID" --final 65 --max-attempts 5 -- ./import.sh "$ID"`,
	},
	{
		topic: "probes",
		title: "Unknown outcomes",
		flags: []string{"probe", "probe-first", "probe-on", "probe-timeout"},
		note: `A probe finds out whether an interrupted attempt has done its work. It has the environment variables
of that attempt and an empty stdin. Its exit status is the answer:
  0      done: idem records a success, with the output of the probe
  1      not done: idem runs the command again
  other  unknown: --on-interrupted decides

With --probe-on interrupted,timeout,signal it is also asked about an attempt that --timeout ended or that
died of a signal. "Not done" then makes it an ordinary failure, for which --on-failure decides. --retries
runs no such attempt again within the call, because only the next call asks. A shell that exits with
128+n after a signal in a part of its script has not died of a signal.`,
		example: `idem run --key "order:$ID" --probe './is-paid.sh "$IDEM_TOKEN"' -- ./pay.sh "$ID"`,
	},
	{
		topic: "verifying",
		title: "Verification",
		flags: []string{"verify", "on-unverified"},
		note: `A verification finds out whether the effect of a success is still there, each time before the success
is replayed. It has the environment variables of the recorded attempt, IDEM_EVENT=verify and an empty
stdin. Its stdout is dropped. --probe-timeout ends it. Its exit status is the answer:
  0      there: idem replays the success
  1      gone: idem records that, and runs the command again as the next
         attempt
  other  unknown: --on-unverified decides`,
		example: `idem run --key "setup:$HOST" --verify 'test -e /etc/app.conf' -- ./setup.sh "$HOST"`,
	},
	{
		topic: "waiting",
		title: "Waiting",
		flags: []string{"wait"},
		note: `Two calls of a key never run at the same time. The second call is refused (status 75), unless it waits.
A waiting call prints a note on stderr; if stderr is not a terminal, it repeats the note every minute.
--quiet and --quiet-ok suppress the note.

--wait shares the result of the run that it waits for. --wait=fresh and --wait=fresh:DURATION share only
the result of a run that began after this call: the call waits for a run that began before it, and then
runs the command. One of the calls that wait for the same run runs the command. The other calls replay its
success. If nothing is running, the command runs. --wait=fresh is for a trigger, such as "deploy
the newest state", whose inputs are the same in each call.`,
		example: `idem run --key "webhook:$EVENT_ID" --wait=30s -- ./handle.sh "$EVENT_ID"`,
	},
	{
		topic: "mutexes",
		title: "Mutexes",
		flags: []string{"mutex"},
		note: `Calls with different keys run at the same time, unless they have a mutex in common. A call takes all
of its mutexes together when it starts its command, and keeps them over its retries. A replay or a
refusal takes none. A mutex is free again when the outcome is recorded. After a kill -9 of idem, it is
held as long as processes of the command live.

A call that finds a mutex held is refused (status 75). With --wait, the calls run in the order in which
they came. No call overtakes those that wait. idem list --mutexes shows both.

NAME follows the rules of a key. N is from 1 to 1000. A last part of digits is always N, so write
--mutex pr:22:1 for the name pr:22. Calls with different N never run at the same time: with --mutex db:3
for jobs, --mutex db runs alone.

Inside of a command that holds the mutex, leave out the flag. A call with it is refused (status 64),
unless another place is free, because it would wait for itself.`,
		example: `idem run --key "deploy:prod:$CI_PIPELINE_ID" --mutex prod --wait=1h -- ./deploy.sh prod`,
	},
	{
		topic: "retries",
		title: "Outcome and retries",
		flags: []string{"ok", "retries", "retry-delay", "retry-max-delay", "retry-on", "timeout", "kill-after"},
		note: `Exit status 0 is a success. A failure ends the call, unless retries are left. Each retry is a separate
attempt. idem does not retry a command that died of a signal. While a call waits to retry, it holds the
key: other calls are refused (75) or wait, whatever their --on-failure, and so does idem wait.

With --ok 0,2=keep, status 2 is a success, and idem still exits with 2, fresh and replayed: for a
command whose status is an answer, such as diff or terraform plan -detailed-exitcode. The --ok of
the replaying call decides.`,
		example: `idem run --key mirror --per day --ok 24 --retries 3 --timeout 2h -- rsync -a src/ dst/`,
	},
	{
		topic: "shared",
		title: "Shared ledgers",
		flags: []string{"lease", "on-lost", "finish-timeout"},
		note: `With --ledger postgres://..., calls on several hosts share a ledger, which idem ledger init has created.
It requires the program idem-postgres, next to idem or in PATH.

Other hosts cannot see the processes of a command. So a call has a lease of 30s to 24h, and renews it. A
lease that ends without an outcome leaves the key interrupted (79), not free: the command may still run.
If idem cannot renew the lease, it ends the command before the lease ends: TERM, then KILL after
--kill-after, which is at most half of the lease. The call then exits with 125. With --on-lost keep, the
command goes on. Calls on other hosts are then refused, whatever their --on-interrupted, until the holder
answers or a person marks the key.

An outcome that the ledger does not take within --finish-timeout, or before Ctrl-C, is kept on this host
(125). The keeper of the call sends it later, or the next call here, or idem ledger sync.

Every command also takes --connect-timeout DURATION: how long it tries to reach a shared ledger (default
10s). If that fails, it exits with 69.

--lease and --on-lost are refused (64) for a ledger in a directory. --connect-timeout and
--finish-timeout have no effect there.`,
		example: `idem run --ledger postgres://ci@db/ops --key "deploy:$SHA" --lease 5m -- ./deploy.sh`,
	},
	{
		topic: "output",
		title: "Output",
		flags: []string{"quiet-ok", "max-output", "quiet", "verbose"},
		note: `idem passes the output of the command on while it records it. If the output cannot be written, a
success exits with 74. A reader that closes the pipe early is not an error. idem prints its
own messages to stderr. An error begins with "idem: "; a warning, a note or a hint has its name after
that, and details are indented.`,
		example: `idem run --key report --per week --quiet-ok --max-output 1MiB -- ./report.sh`,
	},
	{
		topic: "replays",
		title: "Replays",
		flags: []string{"replay", "partial", "exact"},
		note: `A replay writes the recorded output to the same streams. A part of stdout is missing if it was beyond
--max-output, or if the disk was full: the replay then writes the recorded part, and a success
exits with 74. It prints a warning if a part of stderr is missing, if the output was redacted or not
stored, or if its last lines may be missing. --exact refuses all of these replays, and those
without an addition to a --replay-file.`,
		example: `idem run --key "dump:$DAY" --exact -- pg_dump shop >dump.new && mv dump.new shop.sql`,
	},
	{
		topic: "secrets",
		title: "Secrets",
		flags: []string{"no-store", "redact", "redact-env"},
		note: `These flags change neither the live output nor the inputs. idem stores the key unchanged. It also
stores the fingerprint of the unredacted arguments, so a reader of the ledger can test guesses. Pass
a secret that is easy to guess in the environment.`,
		example: `idem run --key "release:$V" --redact-env TOKEN --redact 'ghp_\w+' -- ./release.sh "$V"`,
	},
	{
		topic: "terminal",
		title: "Terminal",
		flags: []string{"tty"},
		note: `The terminal of the command has the modes and the size of your terminal. Ctrl-C, Ctrl-Z and fg work in it. Its
output is one stream. idem records and replays it with the line ends of the terminal and the echo of
typed text. A password that is typed while the echo is off is not recorded. Piped input is delivered
line by line, at most 4095 bytes per line, followed by end-of-file. When the command ends,
processes that it leaves in its process group get HUP, as when a terminal closes.`,
		example: `idem run --key "migrate:$VERSION" --tty -- ./migrate.sh --ask`,
	},
	{
		topic: "files",
		title: "Files",
		flags: []string{"replay-file"},
		note: `For each file, idem records up to 16 MiB appended between the start and the end of the attempt. With
GITHUB_ACTIONS=true, the files of GITHUB_OUTPUT, GITHUB_ENV, GITHUB_PATH and GITHUB_STEP_SUMMARY are
included, so a replayed step sets its outputs. A replay appends the addition to the file of the same
variable, or to the --replay-file with the same path, or else to the one at the same position.`,
		example: `idem run --key "build:$SHA" --replay-file build.env -- ./build.sh`,
	},
	{
		topic: "hooks",
		title: "Hooks",
		flags: []string{"hook"},
		note: `Hooks report the result of a call. A failing hook causes a warning and has no other effect.

The start event fires before each attempt, which waits for the hook. If idem is killed during a start
hook, the key is interrupted. A call fires one event at its end, after its outcome is recorded and the
key is free:
  success, failure, timeout  the result of the last attempt (timeout: 124);
                             failure also if the command cannot be started
                             (126, 127)
  replay                     idem replayed an earlier result
  busy, mismatch             idem refused the call (75, 65)
  interrupted                an outcome is unknown (79)
  refused                    idem refused the call for another reason (80, or
                             64 for bad inputs)
  ledger                     the ledger, or the recorded output, cannot be
                             used (69)
  unrecorded                 the command ran, and its outcome is not recorded
                             (125)
  aborted                    a signal ended a probe or a start hook, and idem;
                             nothing was started
A hook may list events: success,replay. The name end is all of them but start. A hook of failure runs
at unrecorded too. A hook runs at most once at the end of a call, and finds the event in IDEM_EVENT.
No event fires for flags that idem cannot parse or combine, and when a signal ends idem while it waits
or replays.

The hooks of an event run in order, each for at most 30 seconds, with the JSON object of --meta-file
on stdin. idem writes their output to stderr, also with --quiet-ok. A signal sent to idem while a hook
runs ends the hook, then idem. During a start hook, the command is then not started, and aborted fires.`,
		example: `idem run --key backup --hook 'failure=mail -s "$IDEM_KEY" me' -- ./backup.sh`,
	},
	{
		topic: "json",
		title: "JSON",
		flags: []string{"json"},
		note: `The object is the last thing that idem writes, on one line, and stdout has nothing else. It has the
fields of --meta-file and these:
  status          the exit status of idem
  message         why the status is idem's own; null if it is the status of
                  the command
  details         facts about the message
  hints           the ways out: text is the purpose, command is a line for a
                  shell, or null
  stdout, stderr  the output that a call without --json would write
A stream has text, tail, encoding, bytes and omitted. Up to 64 KiB are in text. Of a longer output, text
has the first 48 KiB and tail the last 16 KiB; omitted counts the bytes between them. encoding is
utf-8, or base64 for an output that is not UTF-8. idem logs KEY prints the whole output.

The stderr of the command is only in the object. Messages of idem are on stderr too. --redact and
--no-store do not change the object of the call that runs the command.

Each end of a call has an object, with these exceptions. A signal may end a call that waits, replays or
writes the object. A call with an unknown flag has an object if --json comes before that flag, or if
--json and then "--" follow it. With IDEM_DISABLE=1, idem only runs the command.`,
		example: `idem run --key "tool:$CALL_ID" --json -- ./tool.sh </dev/null | jq -r .stdout.text`,
	},
	{
		topic: "callers",
		title: "Callers",
		flags: []string{"no-stdin", "meta-file", "meta-fd", "exit-code", "on-ledger-error"},
		note: `These flags serve callers that read on from stdin, need to know what happened, or must carry on.
With --on-ledger-error run, a call without a usable ledger prints a warning and runs the command
without a record, a lock, a mutex, a replay and IDEM_TOKEN. All other flags work, except --hash-stdin.

--exit-code replayed=10 or executed=11 replaces the status 0 of a success, so the caller knows
whether the command ran. It changes no status of a failure, and 74 takes precedence.`,
		example: `idem run --key "$KEY" --exit-code running=0 --meta-file meta.json -- ./job.sh`,
	},
}

// dailyFlags are the flags of idem run -h.
var dailyFlags = []string{
	"key", "per", "hash-env", "hash-file", "wait", "on-failure", "on-interrupted", "on-mismatch",
	"probe", "retries", "timeout", "quiet-ok", "quiet", "verbose",
}
