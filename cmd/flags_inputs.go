package cmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/inputs"
	"idem/ledger"
)

// inputFlags are the flags that say which inputs of a call count.
type inputFlags struct {
	inputs.Spec // without NoArgs and MaxStdin, which are hash and maxStdin
	hash        choice
	maxStdin    size
}

func newInputFlags() inputFlags {
	return inputFlags{hash: choice{value: "argv", of: []string{"argv", "none"}}, maxStdin: size{bytes: 64 << 20, text: "64MiB"}}
}

func (o *inputFlags) flags(f *pflag.FlagSet) {
	f.Var(&o.hash, "hash", "`WHAT` of the command must be the same: argv or none")
	f.StringArrayVar(&o.Env, "hash-env", nil, "also the environment variable `NAME`, or all that match a pattern such as NEXT_PUBLIC_*; repeatable, as all --hash-* that take a value")
	f.StringArrayVar(&o.Files, "hash-file", nil, "also the content of the file, directory or files that match `PATH`, where ** is any depth; a link inside a directory counts by its target's name")
	f.StringArrayVar(&o.Optional, "hash-file-optional", nil, "as --hash-file, of a `PATH` that may be absent: no warning")
	f.BoolVar(&o.Stdin, "hash-stdin", false, "also the content of stdin, which is read to its end before the command gets it")
	f.Var(&o.maxStdin, "max-stdin", "refuse a stdin of more than `SIZE` with --hash-stdin")
	f.BoolVar(&o.Cwd, "hash-cwd", false, "also the working directory")
	f.StringArrayVar(&o.Values, "hash-value", nil, "also the value of `NAME=VALUE`")
	f.StringArrayVar(&o.Ignore, "hash-ignore", nil, "leave out arguments that match the regular expression `REGEX`")
}

// collect returns the inputs of a call of argv and the file that the command is to
// read as its stdin.
func (o *inputFlags) collect(ctx context.Context, argv []string, src inputs.Source) (hashkey.Inputs, *os.File, error) {
	spec := o.Spec
	spec.NoArgs, spec.MaxStdin = o.hash.value == "none", o.maxStdin.bytes
	in, stdin, err := spec.Collect(ctx, argv, inputs.Process{Environ: os.Environ, Dir: os.Getwd, Stdin: os.Stdin}, src)
	if err != nil {
		err = inputFailure(err)
	}
	return in, stdin, err
}

// inputFailure makes an *inputs.Error a failure of usage, and returns any other
// error as it is.
func inputFailure(err error) error {
	var e *inputs.Error
	if !errors.As(err, &e) {
		return err
	}
	const notVariable = "%s requires the name of a variable; what it was given is not shown, because it may be a secret"
	switch e.Problem {
	case inputs.Empty:
		return usage("%s is empty: a variable may be unset", e.Flag)
	case inputs.NotAssignment:
		return usage("%s requires NAME=VALUE; what it was given is not shown, because it may be a secret", e.Flag)
	case inputs.MatchesAll:
		return usage("%s %s matches everything: a variable may be unset", e.Flag, quote(e.Value)).hint("without any argument: --hash none")
	case inputs.TooMuch:
		return usage("stdin has more than the %s bytes that %s allows", e.Value, e.Flag)
	case inputs.ValueOfVariable:
		return usage(notVariable, e.Flag).hint("name the variable, without a dollar sign: %s %s", e.Flag, e.Value)
	case inputs.ManyVariables:
		return usage(notVariable, e.Flag).hint("each variable has a flag of its own: %s A %s B", e.Flag, e.Flag)
	case inputs.AnyVariable:
		return usage(notVariable, e.Flag).hint("a pattern has a part of the names in it: %s 'NEXT_PUBLIC_*'", e.Flag)
	case inputs.NotVariable:
		return usage(notVariable, e.Flag).hint("name the variable, without a dollar sign: %s API_KEY", e.Flag)
	}
	var pattern *inputs.PatternError
	if !errors.As(e.Err, &pattern) {
		return usage("%s: %v", e.Flag, e.Err)
	}
	why := "has two meanings: " + quote(pattern.Path) + " is there, and as a pattern it matches " + quote(pattern.Match)
	if pattern.Err != nil {
		why = "is no pattern: " + pattern.Err.Error()
	}
	return usage("%s: %s %s", e.Flag, quote(pattern.Pattern), why).
		hint("a bracket that is part of a name has a backslash before it: %s %s", e.Flag, shellQuote(pattern.Escaped()))
}

// naming is the source of a call that runs no command, so no file keeps stdin.
type naming struct{ ledger.Store }

func (naming) Scratch() (*os.File, error) { return nil, nil }

// looking is the source of a call that runs no command and writes nothing. Without a
// secret in the ledger, nothing is recorded that was hashed with one.
type looking struct {
	ledger.Store
	lacks bool // a secret was asked for, and there is none
}

func (*looking) Scratch() (*os.File, error) { return nil, nil }

func (l *looking) Secret(context.Context) ([]byte, error) {
	secret, err := l.FindSecret()
	l.lacks = err == nil && secret == nil
	return secret, err
}
