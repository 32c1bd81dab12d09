package cmd_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"idem/cmd"
	"idem/internal/testkit"
)

var (
	allPairs  = flag.Bool("pairs", false, "TestPairsHaveAnEffect walks all pairs of flags, which takes minutes")
	onlyPairs = flag.String("pair", "", "TestPairsHaveAnEffect walks the pairs whose text matches")
)

// given returns the flag as it is given if it is the other flag of a pair.
func (w way) given() string {
	if w.as != "" {
		return w.as
	}
	return w.args
}

func words(parts ...string) []string { return strings.Fields(strings.Join(parts, " ")) }

// keyed adds a key to flags that have none.
func keyed(flags []string) []string {
	if slices.Contains(flags, "--key") {
		return flags
	}
	return append([]string{"--key", "k"}, flags...)
}

// refused are the refused pairs: one flag would have no effect, or the flags
// contradict each other.
var refused = strings.Split(strings.TrimSpace(`
--final 3 --force
--force --exact
--force --exit-code replayed=9
--force --hook replay=./hook
--force --partial
--force --probe ./probe
--force --replay none
--force --replay stderr
--force --replay stdout
--force --rerun-within 1h
--force --verify ./check
--force --wait=fresh
--hash none --hash-ignore ^-v
--hash-stdin --no-stdin
--hash-stdin --on-ledger-error run
--hash-stdin --tty
--max-attempts 2 --force
--max-output 0 --no-store all
--max-output 0 --no-store output
--max-output 2 --no-store all
--max-output 2 --no-store output
--no-store all --replay-file rf
--no-store output --replay-file rf
--on-failure refuse --force
--on-failure replay --exit-code failed=9
--on-failure replay --final 3
--on-failure replay --force
--on-interrupted rerun --exit-code interrupted=9
--on-interrupted rerun --hook interrupted=./hook
--on-interrupted rerun --resumable
--on-mismatch rerun --exit-code mismatch=9
--on-mismatch rerun --hook mismatch=./hook
--partial --exact
--per 15m --day-start 04:00
--per 15m --ttl 1h
--per boot --at @1577847600
--per boot --day-start 04:00
--per boot --tz Europe/Berlin
--probe-first --wait=fresh
--quiet --verbose
--quiet-ok --exit-code output=9
--quiet-ok --json
--quiet-ok --no-store all
--quiet-ok --no-store output
--quiet-ok --partial
--quiet-ok --replay none
--quiet-ok --replay stderr
--quiet-ok --replay stdout
--replay none --partial
--replay stderr --partial
--replay stderr --tty
--replay stdout --tty
--resumable --exit-code interrupted=9
--resumable --hook interrupted=./hook
--ttl 1h --wait=fresh
--tty --json
--tty --no-stdin
--wait --hook busy=./hook
--wait=fresh --hook busy=./hook
`), "\n")

// Every flag of idem run is in the table of ways, so a new flag requires a
// decision about its pairs.
func TestPairsHaveEveryFlag(t *testing.T) {
	for _, name := range cmd.FlagsOfRun() {
		if name != "help" && !slices.ContainsFunc(ways, func(w way) bool { return w.flag == name }) {
			t.Errorf("--%s: got no way in pairs_ways_test.go, want one", name)
		}
	}
}

// Exactly the listed pairs are refused, in any order, in one line that names both
// flags.
func TestPairsRefused(t *testing.T) {
	var got []string
	for i, a := range ways {
		for _, b := range ways[i+1:] {
			if a.flag == b.flag {
				continue
			}
			x, y := keyed(words(a.with, b.with, a.given(), b.given())), keyed(words(b.with, a.with, b.given(), a.given()))
			err, again := cmd.Fits(x), cmd.Fits(y)
			if fmt.Sprint(err) != fmt.Sprint(again) {
				t.Errorf("%q: got %v, want the same as for %q, %v", x, err, y, again)
			}
			if err == nil || cmd.Fits(keyed(words(a.with, b.with, a.given()))) != nil || cmd.Fits(keyed(words(a.with, b.with, b.given()))) != nil {
				continue // or the refusal has another reason than the pair
			}
			got = append(got, a.given()+" "+b.given())
			if text := err.Error(); !strings.Contains(text, "--"+a.flag) || !strings.Contains(text, "--"+b.flag) || strings.Contains(text, "\n") {
				t.Errorf("%q: got %v, want one line that names both flags", x, err)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, refused) {
		t.Errorf("got the refused pairs\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(refused, "\n"))
	}
}

// A flag that qualifies another one is refused without it. A default that is
// given explicitly is never refused.
func TestFlagsThatNeedOthers(t *testing.T) {
	for _, w := range ways {
		if w.with == "" || w.ready {
			continue
		}
		flags := words(w.args)
		if !strings.Contains(w.with, "--key") {
			flags = keyed(flags)
		} else {
			flags = append(flags, "--per", "day")
		}
		if err := cmd.Fits(flags); err == nil || !strings.Contains(err.Error(), " requires --") {
			t.Errorf("%q: got %v, want a refusal that names the required flag", flags, err)
		}
	}
	for _, flags := range []string{
		"--on-failure rerun --retries 3 --max-attempts 0 --force", "--retries 0 --retry-delay 5 --retry-on 3", "--max-stdin 64MiB",
		"--probe-timeout 30s", "--kill-after 10s", "--on-mismatch refuse", "--force --replay all --on-interrupted refuse",
		"--per hour --day-start 00:00", "--per hour --ttl never", "--quiet-ok --replay all --max-output 64MiB",
		"--no-store output --max-output 64MiB", "--exit-code failed=9", "--force --exit-code replayed=0", "--hook timeout=true", "--on-mismatch rerun --exit-code mismatch=65 --key k",
		"--probe-on interrupted --on-unverified refuse", "--verify true --probe-timeout 1", "--on-interrupted rerun --verify true --exit-code interrupted=9",
		"--quiet=false --verbose", "--force=false --probe true", "--tty=false --hash-stdin", "--wait=0 --hook busy=true", "--wait=fresh:0 --hook busy=true",
		"--wait=fresh --ttl never", "--wait=fresh --force=false --probe-first=false --probe true",
		"--hash argv --hash-ignore x", "--on-ledger-error refuse --hash-stdin", "--partial=false --exact",
		"--per day --ttl 24h", "--per hour --ttl 1h --at @0", "--per day --ttl 1h --tz UTC --day-start 04:00",
		"--per 15m --ttl 14m", "--per 15m --ttl 15m --at @0", "--per 6h --ttl 7h --day-start 00:00", "--per boot --ttl 1000w --day-start 00:00", "--per quarter --ttl 92d",
		"--ok 124 --final 124 --timeout 1", "--ok 124 --retry-on 124 --retries 1 --timeout 1", "--quiet-ok --on-failure replay --replay stderr",
	} {
		if err := cmd.Fits(append([]string{"--key", "k"}, strings.Fields(flags)...)); err != nil {
			t.Errorf("%s: got error %v, want none", flags, err)
		}
	}
}

// The other commands have few flags. clashes.txtar has their refused pairs. A
// new flag requires a decision.
func TestPairsOfOtherCommands(t *testing.T) {
	got := map[string][]string{}
	for _, text := range cmd.FlagsOfOthers() {
		c, name, _ := strings.Cut(text, ": ")
		got[c] = append(got[c], name)
	}
	for c, want := range map[string]string{
		"check":  "ask latest window",
		"doctor": "json verbose",
		"each": "allow-empty-parts arg-file at csv day-start dry-run events events-fd events-skipped exit-code fail-fast final finish-timeout force hash hash-cwd hash-env " +
			"hash-file hash-file-optional hash-ignore hash-stdin hash-value hook in item-hooks item-on-stdin jobs jsonl key key-field kill-after " +
			"kill-running lease limit max-attempts max-failures max-output max-stdin meta-fd meta-file mutex no-store no-wait null ok on-failure on-interrupted " +
			"on-lost on-mismatch on-unverified only order per probe probe-first probe-on probe-timeout progress quiet quiet-ok rate redact redact-env replace " +
			"replay rerun-within resumable retries retry-delay retry-max-delay retry-on skip-bad stop-on strict-newline tag timeout tsv ttl tz verbose " +
			"verify window",
		"explain":        "ask latest window",
		"forget":         "at day-start failed interrupted json latest per state tz under window",
		"gc":             "dry-run force json keys-older-than max-bytes namespace outputs-older-than quiet superseded-older-than vacuum windows-older-than",
		"key":            "new",
		"ledger backup":  "json no-output",
		"ledger check":   "json quick",
		"ledger confirm": "json",
		"ledger export":  "namespace outputs since with-secret",
		"ledger import":  "dry-run json on-conflict",
		"ledger init":    "failover grant grant-done json",
		"ledger move":    "forget-old json",
		"ledger path":    "json verbose",
		"ledger repair":  "dry-run json yes",
		"ledger restore": "json replace yes",
		"ledger sync":    "json",
		"ledger upgrade": "json",
		"list":           "at day-start failed glob group-by interrupted items jobs json jsonl latest limit mutexes namespace no-pager null per running since state tz under until window",
		"logs":           "at attempt day-start follow json jsonl latest lines no-pager per raw stderr stdout timestamps tz window",
		"mark": "allow-empty-parts at day-start exit-code failed force hash hash-cwd hash-env hash-file hash-file-optional hash-ignore hash-stdin hash-value " +
			"interrupted json latest max-output max-stdin no-store note per redact redact-env replace state stdout-file tz under window",
		"show":    "all at day-start json latest no-pager output-lines per tz window",
		"stats":   "by group-by json max-jobs namespace openmetrics output prometheus since top",
		"step":    "drain every-attempt in window",
		"token":   "at day-start hex json latest per tz window",
		"version": "json",
		"wait":    "at day-start json latest per quiet timeout tz window",
		"report":  "group-by html max-runs namespace output-lines since title until with-args",
	} {
		if have := strings.Join(got[c], " "); have != want {
			t.Errorf("idem %s: got the flags %s, want %s", c, have, want)
		}
		delete(got, c)
	}
	if len(got) > 0 {
		t.Errorf("got more commands with flags: %v, want none", got)
	}
}

// preamble defines the functions that the scripts of the ways use.
const preamble = `
trap 'touch go' EXIT
mkdir sub
printf '#!/bin/sh\nexit $(cat answer 2>/dev/null || if [ -n "$IDEM_RUN_ID" ]; then echo 2; else echo 1; fi)\n' >probe
printf '#!/bin/sh\nexit $(cat checked 2>/dev/null || echo 0)\n' >check
printf '#!/bin/sh\necho $IDEM_EVENT >>hooked\n' >hook
printf '#!/bin/sh\necho "$@"\n' >show
printf '#!/bin/sh\nsleep 0\n' >cmd
echo 0 >f; echo 0 >g; touch rf
chmod +x probe check hook show cmd
exec </dev/null 9>fd
first() { idem run --key k $I "$@"; }
again() { idem run $P $H --key "$1" -- sh -c "$2"; idem run $F --key "$1" -- sh -c "$2"; echo "status $?"; }
call() { idem run --key k $F "$@"; echo "status $?"; }
`

// seen prints all records, without the parts that differ in each call.
const seen = `
cat side hooked rf 2>/dev/null
for l in ledger ledger2 w/l; do
	if [ -d $l ]; then
		echo $l
		idem list --ledger $l --trust-place | cut -f 1-4,6-
		idem list --ledger $l --trust-place --json | grep -E '"(state|exit_code|fingerprint|truncated|output_.*)":'
		for k in k other; do
			idem show --ledger $l --trust-place $G --latest --json $k | grep -A5 -E '"(argv)":'
		done 2>/dev/null
	fi
done
`

var differs = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|\d+(\.\d+)?(ms|µs|s)\b|\d+ (second|minute)s? ago|\b(just )?now\b|:\d{2,}\b|\b20\d\d-\d\d-\d\dT\d\d:\d\d[^\s"]*|"pid":\d+|process(es)? [\d, ]+`)

// observe runs the script of a way and returns the files and records that it
// leaves.
func observe(t *testing.T, w, other way, flagged bool) string {
	b := newBox(t)
	flags := words(w.with)
	var places, inputs, ledger []string
	add := func(o way, args string, before string) {
		flags = append(flags, words(args)...)
		if o.kind == place {
			places = append(places, words(before)...)
		}
		if o.kind == input {
			inputs = append(inputs, words(before)...)
		}
	}
	needed := func(o way) {
		switch {
		case strings.HasPrefix(o.with, "--per "):
			places = append(places, words(o.with)...)
		case o.with == "--hash-stdin":
			inputs = append(inputs, o.with)
		}
	}
	flags = append(words(other.with), flags...)
	needed(other)
	needed(w)
	add(other, other.given(), other.given())
	if other.flag == "ledger" || other.flag == "namespace" {
		ledger = words(other.given())
	}
	if flagged {
		before := w.args
		switch w.before {
		case "":
		case "-":
			before = ""
		default:
			before = w.before
		}
		add(w, w.args, before)
	}
	b.env = append(b.env, "TZ=UTC", "PWD="+b.dir,
		"F="+strings.Join(flags, " "), "P="+strings.Join(places, " "), "H="+strings.Join(inputs, " "),
		"I="+strings.Join(append(slices.Clone(places), inputs...), " "), "G="+strings.Join(ledger, " "))
	r := b.start([]string{"sh", "-c", preamble + w.script + "\n" + seen}).wait()
	text := strings.ReplaceAll(r.out+"\n--\n"+r.err, b.dir, "DIR")
	_ = os.RemoveAll(filepath.Join(b.dir))
	return differs.ReplaceAllString(text, "#")
}

// somePairs are the flags with which each flag is tested without -pairs. They
// change the behavior of other flags most.
var somePairs = []string{"--force", "--quiet-ok", "--on-failure replay"}

// Both flags of every accepted pair have an effect. In the script of each one,
// with the other one given as well, the flag changes the observed result.
func TestPairsHaveAnEffect(t *testing.T) {
	testkit.Slow(t, "every pair of flags is run twice")
	t.Parallel()
	var only *regexp.Regexp
	if *onlyPairs != "" {
		only = regexp.MustCompile(*onlyPairs)
	}
	var wg sync.WaitGroup
	limit := make(chan struct{}, 4)
	for _, w := range ways {
		for _, o := range ways {
			text := w.args + " | " + o.given()
			if w.flag == o.flag || w.script == "" || o.lone || only != nil && !only.MatchString(text) {
				continue
			}
			if only == nil && !*allPairs && !slices.Contains(somePairs, o.given()) {
				continue
			}
			base := words(o.with, w.with, o.given())
			if strings.Contains(" "+o.with+" "+o.given()+" ", " --"+w.flag+" ") || w.with != "--key k" && strings.Contains(" "+w.with+" ", " --"+o.flag+" ") || cmd.Fits(keyed(base)) != nil || cmd.Fits(keyed(append(base, words(w.args)...))) != nil {
				continue // a pair with a flag that the way requires, or a refused pair
			}
			wg.Add(1)
			limit <- struct{}{}
			go func() {
				defer wg.Done()
				defer func() { <-limit }()
				without, with := observe(t, w, o, false), observe(t, w, o, true)
				if without == with {
					t.Errorf("%s: got the same result with the flag, want an effect\n%s", text, indented(with))
				}
			}()
		}
	}
	wg.Wait()
}

func indented(s string) string { return "\t" + strings.ReplaceAll(s, "\n", "\n\t") }
