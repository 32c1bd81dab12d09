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

// inputFlags are the flags that select the inputs of a call.
type inputFlags struct {
	inputs.Spec // collect sets NoArgs and MaxStdin from hash and maxStdin
	hash        choice
	maxStdin    size
}

func newInputFlags() inputFlags {
	return inputFlags{hash: choice{value: "argv", of: []string{"argv", "none"}}, maxStdin: size{bytes: 64 << 20, text: "64MiB"}}
}

func (o *inputFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.hash, "hash", "compare `WHAT` of the command: argv or none")
	f.Var((*texts)(&o.Env), "hash-env", "add environment variable `NAME` to the inputs, or all that match a pattern such as NEXT_PUBLIC_*; repeatable")
	f.Var((*texts)(&o.Files), "hash-file", "add the content of `PATH` to the inputs: a file, a directory or a pattern, where ** matches any depth; repeatable")
	f.Var((*texts)(&o.Optional), "hash-file-optional", "like --hash-file, without a warning if `PATH` does not exist; repeatable")
	f.BoolVar(&o.Stdin, "hash-stdin", false, "add the content of stdin to the inputs; idem reads it to its end before the command starts")
	f.Var(&o.maxStdin, "max-stdin", "refuse a stdin of more than `SIZE` with --hash-stdin")
	f.BoolVar(&o.Cwd, "hash-cwd", false, "add the working directory to the inputs")
	f.Var((*texts)(&o.Values), "hash-value", "add `NAME=VALUE` to the inputs; repeatable")
	f.Var((*texts)(&o.Ignore), "hash-ignore", "ignore arguments that match the regular expression `REGEX`; repeatable")
}

// collect returns the inputs of a call of argv and the file that is the stdin of the
// command.
func (o *inputFlags) collect(ctx context.Context, argv []string, src inputs.Source) (hashkey.Inputs, *os.File, error) {
	if o.Stdin {
		if err := requireStdin(); err != nil {
			return hashkey.Inputs{}, nil, err
		}
	}
	spec := o.Spec
	spec.NoArgs, spec.MaxStdin = o.hash.value == "none", o.maxStdin.bytes
	in, stdin, err := spec.Collect(ctx, argv, inputs.Process{Environ: os.Environ, Dir: os.Getwd, Stdin: os.Stdin}, src)
	if err != nil {
		err = inputFailure(err)
	}
	return in, stdin, err
}

// inputFailure returns a failure of usage for an *inputs.Error, and any other error
// unchanged.
func inputFailure(err error) error {
	var e *inputs.Error
	if !errors.As(err, &e) {
		return err
	}
	const hidden = "the value given is not shown, because it may be a secret"
	variable := usage("%s requires the name of a variable", e.Flag).detail(hidden)
	switch e.Problem {
	case inputs.Empty:
		return usage("%s is empty: a variable may be unset", e.Flag)
	case inputs.NotAssignment:
		return usage("%s requires NAME=VALUE", e.Flag).detail(hidden)
	case inputs.MatchesAll:
		return usage("%s %s matches everything: a variable may be unset", e.Flag, quote(e.Value)).hint("to ignore all arguments: --hash none")
	case inputs.TooMuch:
		return usage("stdin has more than %s bytes, the limit of %s", e.Value, e.Flag)
	case inputs.ValueOfVariable:
		return variable.hint("name the variable, without a dollar sign: %s %s", e.Flag, e.Value)
	case inputs.ManyVariables:
		return variable.hint("repeat the flag for each variable: %s A %s B", e.Flag, e.Flag)
	case inputs.AnyVariable:
		return variable.hint("a pattern must contain a part of a name: %s 'NEXT_PUBLIC_*'", e.Flag)
	case inputs.NotVariable:
		return variable.hint("name the variable, without a dollar sign: %s API_KEY", e.Flag)
	}
	var pattern *inputs.PatternError
	if !errors.As(e.Err, &pattern) {
		return usage("%s: %v", e.Flag, e.Err)
	}
	why := "is not a valid pattern"
	if pattern.Err == nil {
		why = "is both an existing name and a pattern that matches " + quote(pattern.Match)
	}
	return usage("%s: %s %s", e.Flag, quote(pattern.Pattern), why).
		hint("to match a bracket in a name, put a backslash before it: %s %s", e.Flag, shellQuote(pattern.Escaped()))
}

// markSource is the source of inputs for a call that runs no command. It keeps no copy
// of stdin.
type markSource struct{ ledger.Store }

func (markSource) Scratch() (*os.File, error) { return nil, nil }

// peekSource is the source of inputs for a call that runs no command and writes
// nothing. If the ledger has no secret, it has no input that was hashed with one
// either, so none is created.
type peekSource struct {
	ledger.Store
	noSecret bool // Secret was called, and the ledger has none
}

func (*peekSource) Scratch() (*os.File, error) { return nil, nil }

func (l *peekSource) Secret(context.Context) ([]byte, error) {
	secret, err := l.FindSecret()
	l.noSecret = err == nil && secret == nil
	return secret, err
}
