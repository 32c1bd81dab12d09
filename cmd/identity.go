package cmd

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // --tz must work where the system has no zones

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/sqlite"
)

// identity are the flags that say which calls are the same call: the key, its
// window, and the inputs that are compared.
type identity struct {
	key             string
	allowEmptyParts bool

	per      choice
	zone     string
	at       string
	dayStart string
	ttl      ttl

	hash       choice
	hashEnv    []string
	hashFile   []string
	hashStdin  bool
	maxStdin   size
	hashCwd    bool
	hashValue  []string
	hashIgnore []string
}

func newIdentity() *identity {
	return &identity{
		per: choice{of: hashkey.Pers}, hash: choice{value: "argv", of: []string{"argv", "none"}},
		maxStdin: size{bytes: 64 << 20, text: "64MiB"},
	}
}

func (o *identity) flags(f *pflag.FlagSet) {
	f.StringVar(&o.key, "key", "", "`KEY` of the operation, 1 to 255 bytes of UTF-8; without one, it is derived from the namespace, the working directory and all inputs, which needs --per or --ttl")
	f.BoolVar(&o.allowEmptyParts, "allow-empty-parts", false, "permit a key such as \"deploy:\", which mostly means an unset variable")
	f.Var(&o.per, "per", "once per `WINDOW` of the calendar: "+strings.Join(hashkey.Pers, ", "))
	f.StringVar(&o.zone, "tz", "", "time `ZONE` of the calendar, such as Europe/Berlin or UTC (default the local one)")
	f.StringVar(&o.at, "at", "", "`TIME` that the call is for, so that a late one belongs to its own window: RFC 3339, \"2026-11-22 14:00\" in the zone, or @SECONDS since 1970")
	f.StringVar(&o.dayStart, "day-start", "", "time of day, `HH:MM`, at which the windows from day on begin")
	f.Var(&o.ttl, "ttl", "how long a success counts, from the start of its attempt: `DURATION` such as 90m, 12h, 7d, 2w, or never (the default)")
	f.Var(&o.hash, "hash", "`WHAT` of the command must be the same: argv or none")
	f.StringArrayVar(&o.hashEnv, "hash-env", nil, "also the environment variable `NAME`; repeatable, as all --hash-* that take a value")
	f.StringArrayVar(&o.hashFile, "hash-file", nil, "also the content of the file, directory or files that match `PATH`; a link inside a directory counts by its target's name")
	f.BoolVar(&o.hashStdin, "hash-stdin", false, "also the content of stdin, which is read to its end before the command gets it")
	f.Var(&o.maxStdin, "max-stdin", "refuse a stdin of more than `SIZE` with --hash-stdin")
	f.BoolVar(&o.hashCwd, "hash-cwd", false, "also the working directory")
	f.StringArrayVar(&o.hashValue, "hash-value", nil, "also the value of `NAME=VALUE`")
	f.StringArrayVar(&o.hashIgnore, "hash-ignore", nil, "leave out arguments that match the regular expression `REGEX`")
}

// identified is which call a call is.
type identified struct {
	id     ledger.ID
	inputs hashkey.Inputs
	stdin  *os.File // what the command is to read
}

// source is what the ledger contributes to the identity of a call.
type source interface {
	// Secret keys the digests of environment variables.
	Secret(ctx context.Context) ([]byte, error)
	// Scratch makes the file that keeps stdin for the command.
	Scratch() (*os.File, error)
}

// naming is the source of a call that runs nothing, so that nobody reads stdin
// after us.
type naming struct{ *sqlite.Ledger }

func (naming) Scratch() (*os.File, error) { return nil, nil }

// looking is naming for a call that writes nothing either: without a secret,
// nothing is recorded that was hashed with one.
type looking struct{ *sqlite.Ledger }

func (looking) Scratch() (*os.File, error) { return nil, nil }

func (l looking) Secret(context.Context) ([]byte, error) { return l.FindSecret() }

// identify turns the flags into the record and the inputs of a call of argv.
func (a *app) identify(ctx context.Context, o *identity, argv []string, src source, now time.Time) (identified, error) {
	in := identified{stdin: os.Stdin}
	var err error
	if in.id, err = a.named(o); err != nil {
		return in, err // before anything is read or made
	}
	window, err := o.window(now)
	if err != nil {
		return in, err
	}
	if o.key == "" && window == "" && !o.ttl.set {
		return in, usage("no key: without --key, a call would run once and never again").
			hintFlags("to name the operation", "--key deploy:prod:4f2c1e").
			hintFlags("or to run it once a day", "--per day").
			hintFlags("or to run it once and never again", "--ttl never")
	}
	if in.inputs, in.stdin, err = o.inputs(ctx, argv, src); err != nil {
		return in, err
	}
	key := o.key
	if key == "" {
		if key, err = derive(in.id.Namespace, in.inputs); err != nil {
			return in, err
		}
	}
	in.id, err = a.id(key, o.allowEmptyParts)
	in.id.Window = window
	return in, err
}

// calendar returns the window that a --ttl of just its length was probably
// meant for: a daily job that began a second early would not run that day.
func (o *identity) calendar() string {
	if o.per.value != "" {
		return ""
	}
	switch o.ttl.limit {
	case time.Hour:
		return string(hashkey.PerHour)
	case 24 * time.Hour:
		return string(hashkey.PerDay)
	case 7 * 24 * time.Hour:
		return string(hashkey.PerWeek)
	}
	return ""
}

// named returns the record that the flags name, in no window yet; a key that is
// to be derived is auto so far.
func (a *app) named(o *identity) (ledger.ID, error) {
	// As "--key -q": pflag takes the flag for the value.
	if i := slices.Index(a.args, "--key"); strings.HasPrefix(o.key, "-") && i >= 0 && slices.Index(a.args[i:], o.key) == 1 {
		return ledger.ID{}, usage("--key has no value: a variable may be unset").hint("a key that begins with a dash is written --key=%s", shellQuote(o.key))
	}
	return a.id(cmp.Or(o.key, "auto"), o.allowEmptyParts)
}

// knownZone tells whether time.Local is what TZ says. Where Go knows no such
// zone, and it knows none of POSIX's, such as JST-9, it is UTC.
func knownZone(tz string) bool {
	name := strings.TrimPrefix(tz, ":")
	if filepath.IsAbs(name) {
		_, err := os.Stat(name)
		return err == nil
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

// window is the calendar part of the identity, empty without --per.
func (o *identity) window(now time.Time) (string, error) {
	c := hashkey.Calendar{Per: hashkey.Per(o.per.value), Zone: time.Local}
	var err error
	if o.zone != "" {
		if c.Zone, err = time.LoadLocation(o.zone); err != nil {
			return "", usage("--tz: there is no time zone %s", quote(o.zone)).hint("name one as the tz database does, such as Europe/Berlin or UTC")
		}
	}
	if tz := os.Getenv("TZ"); o.zone == "" && c.Per != "" && !knownZone(tz) {
		return "", usage("there is no time zone %s, which TZ names", quote(tz)).hint("name one as the tz database does, such as Europe/Berlin or UTC, with --tz")
	}
	if o.dayStart != "" {
		if c.DayStart, err = hashkey.ParseDayStart(o.dayStart); err != nil {
			return "", usage("--day-start: %v", err)
		}
	}
	if o.at != "" {
		if now, err = hashkey.ParseAt(o.at, c.Zone); err != nil {
			return "", usage("--at: %v", err)
		}
	}
	if c.Per == "" {
		for flag, value := range map[string]string{"--tz": o.zone, "--at": o.at, "--day-start": o.dayStart} {
			if value != "" {
				return "", usage("%s says which window, but there is no --per", flag)
			}
		}
		return "", nil
	}
	return c.Window(now), nil
}

// derive makes a key of everything that the call is.
func derive(namespace string, in hashkey.Inputs) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", usage("no key, and the working directory to derive one from is gone: %v", err)
	}
	all := append(hashkey.Inputs{
		{Kind: hashkey.KindValue, Name: "namespace", Value: []byte(namespace)},
		{Kind: hashkey.KindCwd, Value: []byte(dir)},
	}, in...)
	return "auto:" + strings.TrimPrefix(all.Fingerprint(), "h1:")[:32], nil
}

// inputs collects what must be the same, and returns what the command is to
// read as its stdin.
func (o *identity) inputs(ctx context.Context, argv []string, src source) (hashkey.Inputs, *os.File, error) {
	in, err := o.argv(argv)
	if err != nil {
		return nil, nil, err
	}
	if o.hashCwd {
		dir, err := os.Getwd()
		if err != nil {
			return nil, nil, usage("--hash-cwd: %v", err)
		}
		in = append(in, hashkey.Part{Kind: hashkey.KindCwd, Value: []byte(dir)})
	}
	for _, nv := range o.hashValue {
		name, value, ok := strings.Cut(nv, "=")
		if !ok || name == "" {
			return nil, nil, usage("--hash-value wants NAME=VALUE, not %s", quote(nv))
		}
		in = append(in, hashkey.Part{Kind: hashkey.KindValue, Name: name, Value: []byte(value)})
	}
	for _, name := range o.hashEnv {
		if name == "" || strings.Contains(name, "=") {
			return nil, nil, usage("--hash-env wants the name of a variable, not %s", quote(name))
		}
	}
	var files hashkey.Inputs
	for _, path := range o.hashFile {
		if path == "" {
			return nil, nil, usage("--hash-file is empty: a variable may be unset")
		}
		parts, err := fileParts(path)
		if err != nil {
			return nil, nil, usage("--hash-file: %v", err)
		}
		files = append(files, parts...)
	}
	if len(o.hashEnv) > 0 { // now that all else is well: asking for the secret may make it
		secret, err := src.Secret(ctx)
		if err != nil {
			return nil, nil, err
		}
		for _, name := range o.hashEnv {
			in = append(in, hashkey.Part{Kind: hashkey.KindEnv, Name: name, Value: envDigest(secret, name)})
		}
	}
	in = append(in, files...)
	if !o.hashStdin {
		return in.Canonical(), os.Stdin, nil
	}
	part, stdin, err := stdinPart(src.Scratch, o.maxStdin.bytes)
	return append(in, part).Canonical(), stdin, err
}

func (o *identity) argv(argv []string) (hashkey.Inputs, error) {
	if o.hash.value == "none" {
		return hashkey.Inputs{}, nil
	}
	var ignore []*regexp.Regexp
	for _, expr := range o.hashIgnore {
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, usage("--hash-ignore: %v", err)
		}
		if re.MatchString("") && re.MatchString("\x00any\x00") {
			return nil, usage("--hash-ignore %s matches everything: a variable may be unset", quote(expr)).hint("without any argument: --hash none")
		}
		ignore = append(ignore, re)
	}
	var kept []string
	for i, arg := range argv {
		drop := false
		for _, re := range ignore {
			drop = drop || i > 0 && re.MatchString(arg)
		}
		if !drop {
			kept = append(kept, arg)
		}
	}
	return hashkey.Argv(kept), nil
}

// envDigest is the value of an environment variable, keyed by a secret of the
// ledger: what is stored must not tell a password to who can guess it.
func envDigest(secret []byte, name string) []byte {
	value, ok := os.LookupEnv(name)
	if !ok {
		return hashkey.Absent()
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(value))
	return hashkey.Present(mac.Sum(nil))
}

// ttl is the value of --ttl.
type ttl struct {
	set   bool
	limit time.Duration // 0: never
}

func (t *ttl) String() string { return "" }
func (t *ttl) Type() string   { return "DURATION" }

func (t *ttl) Set(s string) error {
	if s == "never" {
		*t = ttl{set: true}
		return nil
	}
	d, err := parseLongDuration(s)
	if err != nil || d == 0 {
		return errors.New("want a duration such as 90m, 12h, 7d or 2w, or never")
	}
	*t = ttl{set: true, limit: d}
	return nil
}
