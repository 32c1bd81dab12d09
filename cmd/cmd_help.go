package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagGroup is a section of the manual of idem run. The other commands that
// have these flags show them under the same headings.
type flagGroup struct {
	title string
	flags []string // in the order shown
	note  string
	// example is for idem run alone.
	example string
}

// flagGroups has every flag of idem run; a test holds that. It is data apart
// from the flags, so that a call that asks for no help pays nothing for it.
var flagGroups = []flagGroup{
	{
		title: "Identity",
		flags: []string{"key", "allow-empty-parts", "per", "tz", "at", "day-start", "ttl"},
		note: `The key names the operation. With --per each window of the calendar has a record of its own;
the window is that in which the call starts. With --ttl a success counts for a time.`,
		example: `idem run --key backup --per day --tz Europe/Berlin --day-start 04:00 -- ./backup.sh`,
	},
	{
		title: "What must be the same",
		flags: []string{"hash", "hash-ignore", "hash-cwd", "hash-value", "hash-env", "hash-file", "hash-file-optional", "hash-stdin", "max-stdin"},
		note: `A call with the same key and other inputs is refused. The command line is recorded as it is;
of variables, files and stdin only digests are. Arguments that may be secrets are masked where
the command line is shown. The script that runs is no input: a replay with -v says whether it has
changed, and --hash-file makes it one.`,
		example: `idem run --key "deploy:$BUILD_TAG" --hash-env TARGET --hash-file config/ -- ./deploy.sh`,
	},
	{
		title: "Earlier outcomes",
		flags: []string{"on-failure", "on-interrupted", "on-mismatch", "final", "max-attempts", "force"},
		note: `A success is replayed, a failure is run again, and what was interrupted or is recorded with
other inputs is refused. These flags change that.`,
		example: `idem run --key "import:$ID" --final 65 --max-attempts 5 -- ./import.sh "$ID"`,
	},
	{
		title: "Unknown outcomes",
		flags: []string{"probe", "probe-first", "probe-timeout"},
		note: `A probe finds out what idem cannot know: whether an interrupted attempt has done its work. It has
the variables of that attempt, reads nothing, and says by its exit status:
  0      it is done: a success is recorded, with what the probe prints as its output
  1      it is not: the command is run again
  other  it cannot tell: the outcome stays unknown, and --on-interrupted decides`,
		example: `idem run --key "order:$ID" --probe './is-paid.sh "$IDEM_TOKEN"' -- ./pay.sh "$ID"`,
	},
	{
		title: "Waiting",
		flags: []string{"wait"},
		note: `Two calls of a key never run at the same time. The second is refused (75), unless it waits. A call
that waits says so on stderr, with the attempt that it waits for, and again every minute where
stderr is no terminal; not with --quiet or --quiet-ok.`,
		example: `idem run --key "webhook:$EVENT_ID" --wait=30s -- ./handle.sh "$EVENT_ID"`,
	},
	{
		title: "Outcome and retries",
		flags: []string{"ok", "retries", "retry-delay", "retry-max-delay", "retry-on", "timeout", "kill-after"},
		note: `Exit status 0 is a success. A failure is final for this call, unless it has retries; each is an
attempt of its own. A command that died of a signal is not retried.`,
		example: `idem run --key mirror --per day --ok 24 --retries 3 --timeout 2h -- rsync -a src/ dst/`,
	},
	{
		title: "Output",
		flags: []string{"quiet-ok", "max-output", "quiet", "verbose"},
		note: `The command's output passes live and is recorded. When it cannot be written here, idem exits with
74 in place of 0. A reader that went away is not an error. idem's own messages go to stderr.`,
		example: `idem run --key report --per week --quiet-ok --max-output 1MiB -- ./report.sh`,
	},
	{
		title: "Replays",
		flags: []string{"replay", "partial", "exact"},
		note: `A replay writes the recorded output to the same streams. If a part of stdout is missing because
more than --max-output was written, or because a disk was full, it writes what there is and exits
with 74 in place of 0. It warns if a part of stderr is missing, if the output was redacted or not
to be stored, or if it may lack its last lines.`,
		example: `idem run --key "dump:$DAY" --exact -- pg_dump shop >dump.new && mv dump.new shop.sql`,
	},
	{
		title: "What is remembered",
		flags: []string{"no-store", "redact", "redact-env"},
		note: `These flags change neither the live output nor what counts as the same call. The key is stored as
it is, and so is the fingerprint of the real arguments, against which a reader of the ledger can
try guesses: a secret that is easy to guess belongs in the environment.`,
		example: `idem run --key "release:$V" --redact-env TOKEN --redact 'ghp_\w+' -- ./release.sh "$V"`,
	},
	{
		title: "Terminal",
		flags: []string{"tty"},
		note: `The command's terminal has the modes and the size of this one; Ctrl-C, Ctrl-Z and fg work in it.
Its output is one stream, recorded and replayed with the terminal's line ends and the echo of what
is typed, but not of what is typed while the echo is off, as at a password. From a pipe it gets
the lines, at most 4095 bytes each, and then the end. What it leaves behind in its process group
gets HUP when it ends, as when a terminal closes.`,
		example: `idem run --key "migrate:$VERSION" --tty -- ./migrate.sh --ask`,
	},
	{
		title: "Files",
		flags: []string{"replay-file"},
		note: `What the command appends to a file until it ends, at most 16 MiB, is part of the outcome. With
GITHUB_ACTIONS=true the files of GITHUB_OUTPUT, GITHUB_ENV, GITHUB_PATH and GITHUB_STEP_SUMMARY
are among them, so that a step that is replayed sets its outputs. A replay appends it to the file
of that variable, or to the --replay-file of that path, else in that place on the command line.`,
		example: `idem run --key "build:$SHA" --replay-file build.env -- ./build.sh`,
	},
	{
		title: "Hooks",
		flags: []string{"hook"},
		note: `A hook tells others what comes of a call; that one fails is a warning and changes nothing.
start comes before each attempt, which waits for it: the key is running then, and interrupted
after a kill -9. A call has one other event at most, when its outcome is recorded and the key is
free: success, timeout or failure after the last attempt, replay, or the refusals busy (75),
mismatch (65) and interrupted (79). It is failure also when the command cannot be started or its
outcome cannot be recorded; other refusals have none.
The hooks of an event run in order, each for 30 seconds at most, with the object of --meta-file on
stdin. What they print goes to stderr, also with --quiet-ok. A signal for idem meanwhile ends the
hook, and idem; during start, nothing is run and no other event follows.`,
		example: `idem run --key backup --per day --hook 'failure=mail -s "$IDEM_KEY" me' -- ./backup.sh`,
	},
	{
		title:   "Scripts",
		flags:   []string{"no-stdin", "meta-file", "meta-fd", "exit-code", "on-ledger-error"},
		note:    `For callers that read on after the call, must know what happened, or carry on whatever happened.`,
		example: `idem run --key "$KEY" --exit-code running=0 --meta-file meta.json -- ./job.sh`,
	},
}

// manual is the help of a command.
func manual(c *cobra.Command) string {
	var b strings.Builder
	section := func(title string, parts ...string) {
		begun := false
		for _, part := range parts {
			if part = strings.Trim(part, "\n"); part == "" {
				continue
			}
			if !begun {
				fmt.Fprintf(&b, "\n%s:\n", title)
			} else {
				b.WriteString("\n")
			}
			begun = true
			b.WriteString(part + "\n")
		}
	}
	b.WriteString(strings.TrimSpace(longOf(c)) + "\n")
	section("Usage", "  "+usageLine(c))
	section("Examples", c.Example)
	section("Commands", commandList(c))
	own := shown(c.LocalFlags())
	shared := shown(c.InheritedFlags())
	column := max(flagColumn(own), flagColumn(shared))
	for _, g := range flagGroups {
		text := flagList(own, g.flags, column)
		switch {
		case text == "":
		case c.Name() == "run":
			section(g.title, indent(g.note), text, indent("Example: "+g.example))
		default:
			section(g.title, text)
		}
	}
	section("Flags", flagList(own, nil, column))
	section("Flags of every command", flagList(shared, nil, column))
	if whole := !c.HasParent(); whole || c.Name() == "run" {
		section("Exit status", exitHelp())
		section("Environment", environmentHelp)
		if whole {
			b.WriteString("\nidem COMMAND --help explains a command; the manual is idem run --help.\n")
		}
	}
	return b.String()
}

func longOf(c *cobra.Command) string {
	if c.Long == "" {
		return c.Short
	}
	return c.Long
}

func usageLine(c *cobra.Command) string {
	if c.HasAvailableSubCommands() {
		return c.CommandPath() + " COMMAND"
	}
	if strings.Contains(c.Use, "flags]") {
		return c.Root().Name() + " " + c.Use
	}
	return c.UseLine()
}

func commandList(c *cobra.Command) string {
	var b strings.Builder
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-12s%s\n", sub.Name(), sub.Short)
		}
	}
	return b.String()
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}

// shown returns the flags that are not hidden, in the order of their set.
// -h needs no words.
func shown(set *pflag.FlagSet) []*pflag.Flag {
	var flags []*pflag.Flag
	set.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && f.Name != "help" {
			flags = append(flags, f)
		}
	})
	return flags
}

// flagList describes those of the flags that are named, each once; with no
// names, those that no group names.
func flagList(flags []*pflag.Flag, names []string, column int) string {
	var b strings.Builder
	add := func(f *pflag.Flag) {
		_, text := pflag.UnquoteUsage(f)
		lines := wrapText(text+defaultOf(f), helpWidth-column)
		fmt.Fprintf(&b, "%-*s%s\n", column, flagHead(f), strings.Join(lines, "\n"+strings.Repeat(" ", column)))
	}
	if names == nil {
		for _, f := range flags {
			if !grouped(f.Name) {
				add(f)
			}
		}
	}
	for _, name := range names {
		for _, f := range flags {
			if f.Name == name {
				add(f)
			}
		}
	}
	return b.String()
}

func grouped(name string) bool {
	return slices.ContainsFunc(flagGroups, func(g flagGroup) bool { return slices.Contains(g.flags, name) })
}

// helpWidth is how wide a line of flags is at most.
const helpWidth = 100

func flagColumn(flags []*pflag.Flag) int {
	n := 0
	for _, f := range flags {
		n = max(n, len(flagHead(f))+3)
	}
	return n
}

// flagHead is a flag as it is typed.
func flagHead(f *pflag.Flag) string {
	s := "      --" + f.Name
	if f.Shorthand != "" {
		s = "  -" + f.Shorthand + ", --" + f.Name
	}
	value, _ := pflag.UnquoteUsage(f)
	switch {
	case value == "":
		return s
	case f.NoOptDefVal != "": // only with "=" is a value its own
		return s + "[=" + value + "]"
	}
	return s + " " + value
}

func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "0", "false", "[]":
		return ""
	}
	return " (default " + f.DefValue + ")"
}

// wrapText breaks text into lines of at most width bytes.
func wrapText(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) > width:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}

func exitHelp() string {
	var b strings.Builder
	for _, row := range exitTable {
		lines := wrapText(row.meaning, helpWidth-9)
		fmt.Fprintf(&b, "  %-6s %s\n", row.code, strings.Join(lines, "\n         "))
	}
	return b.String()
}

const environmentHelp = `  IDEM_LEDGER      the ledger's directory, as --ledger, by its absolute path
  IDEM_TRUST_PLACE 1: as --trust-place
  IDEM_NAMESPACE   the namespace, as --namespace
  IDEM_DISABLE     1: idem run becomes the command and nothing else; of its flags -n alone counts
  IDEM_CI          off: take no notice of GITHUB_ACTIONS=true
  TZ               the time zone of the calendar without --tz, by its name in the tz database
  STATE_DIRECTORY, XDG_STATE_HOME, HOME
                   where the ledger is by default; a relative XDG_STATE_HOME or HOME is ignored,
                   several or relative directories in STATE_DIRECTORY are refused (64)

  A command finds in its environment:
  IDEM_KEY, IDEM_NAMESPACE, IDEM_WINDOW
                   what it is run for
  IDEM_RUN_ID      a UUID of this attempt, which sorts by time
  IDEM_ATTEMPT     the number of this attempt
  IDEM_FENCE       a number that only grows for the key
  IDEM_TOKEN       a UUID for Idempotency-Key headers, the same for every attempt; another in each
                   window; IDEM_TOKEN_HEX is the same without dashes
  IDEM_LEDGER      the ledger's directory; IDEM_TRUST_PLACE=1 with it if --trust-place was given
  IDEM_CHAIN       what it runs inside of: attempts, by their IDEM_RUN_ID, and first probes

  A probe finds the same, about the attempt that it is asked about, and IDEM_EVENT=probe.

  A hook finds the same, about the attempt that ran, is replayed or stands in the way, and:
  IDEM_EVENT       the event
  IDEM_EXIT_CODE   what idem exits with, unless a signal ends it; empty at start`
