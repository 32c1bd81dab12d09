package cmd

import (
	"cmp"
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/ledger"
)

// identity are the flags that say which calls are the same call: the key, its
// window, and the inputs that are compared.
type identity struct {
	key             string
	allowEmptyParts bool

	calendarFlags
	ttl ttl

	hash       choice
	hashEnv    []string
	hashFile   []string
	optional   []string // files of --hash-file-optional
	hashStdin  bool
	maxStdin   size
	hashCwd    bool
	hashValue  []string
	hashIgnore []string
}

func newIdentity() *identity {
	return &identity{
		calendarFlags: newCalendarFlags(), hash: choice{value: "argv", of: []string{"argv", "none"}},
		maxStdin: size{bytes: 64 << 20, text: "64MiB"},
	}
}

func (o *identity) flags(f *pflag.FlagSet) {
	f.StringVar(&o.key, "key", "", "name the operation with `KEY`, 1 to 255 bytes of UTF-8; without it, idem derives a key from the namespace, the working directory and all inputs (requires --per or --ttl)")
	f.BoolVar(&o.allowEmptyParts, "allow-empty-parts", false, "accept a key with an empty part, such as \"deploy:\", which usually means an unset variable")
	o.calendarFlags.flags(f, "run once per `WINDOW` of the calendar")
	f.Var(&o.ttl, "ttl", "run again `DURATION` after the last success started: 90m, 12h, 7d, 2w, or never (the default)")
	f.Var(&o.hash, "hash", "compare `WHAT` of the command: argv or none")
	f.StringArrayVar(&o.hashEnv, "hash-env", nil, "add environment variable `NAME` to the inputs, or all that match a pattern such as NEXT_PUBLIC_*; repeatable")
	f.StringArrayVar(&o.hashFile, "hash-file", nil, "add the content of `PATH` to the inputs: a file, a directory or a pattern, where ** matches any depth; repeatable")
	f.StringArrayVar(&o.optional, "hash-file-optional", nil, "like --hash-file, without a warning if `PATH` does not exist; repeatable")
	f.BoolVar(&o.hashStdin, "hash-stdin", false, "add the content of stdin to the inputs; idem reads it to its end before the command starts")
	f.Var(&o.maxStdin, "max-stdin", "refuse a stdin of more than `SIZE` with --hash-stdin")
	f.BoolVar(&o.hashCwd, "hash-cwd", false, "add the working directory to the inputs")
	f.StringArrayVar(&o.hashValue, "hash-value", nil, "add `NAME=VALUE` to the inputs; repeatable")
	f.StringArrayVar(&o.hashIgnore, "hash-ignore", nil, "ignore arguments that match the regular expression `REGEX`; repeatable")
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
type naming struct{ ledger.Store }

func (naming) Scratch() (*os.File, error) { return nil, nil }

// looking is naming for a call that writes nothing either: without a secret,
// nothing is recorded that was hashed with one.
type looking struct{ ledger.Store }

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
		return in, usage("no key: without --key, --per or --ttl is required").
			hintFlags("to name the operation", "--key deploy:prod:8471").
			hintFlags("to run it once a day", "--per day").
			hintFlags("to run it once and never again", "--ttl never")
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
	return a.id(cmp.Or(o.key, "auto"), o.allowEmptyParts)
}

// derive makes a key of everything that the call is.
func derive(namespace string, in hashkey.Inputs) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", usage("no key, and the working directory to derive one from is missing: %v", err)
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
			return nil, nil, usage("--hash-value requires NAME=VALUE").detail("the value given is not shown, because it may be a secret")
		}
		in = append(in, hashkey.Part{Kind: hashkey.KindValue, Name: name, Value: []byte(value)})
	}
	for _, text := range o.hashEnv {
		if err := checkVariable("--hash-env", text, true); err != nil {
			return nil, nil, err
		}
	}
	trees := maxTrees
	files, err := filesParts("--hash-file", o.hashFile, &trees)
	if err != nil {
		return nil, nil, err
	}
	optional, err := filesParts("--hash-file-optional", o.optional, &trees)
	if err != nil {
		return nil, nil, err
	}
	if len(o.hashEnv) > 0 { // now that all else is well: asking for the secret may make it
		secret, err := src.Secret(ctx)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, variableParts(o.hashEnv, secret)...)
	}
	in = append(append(in, files...), optional...)
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
			return nil, usage("--hash-ignore %s matches everything: a variable may be unset", quote(expr)).hint("to ignore all arguments: --hash none")
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
