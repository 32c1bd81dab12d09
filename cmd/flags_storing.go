package cmd

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/inputs"
	"idem/ledger"
	"idem/redact"
)

// storing are the flags that say what must not be remembered.
type storing struct {
	noStore   noStore
	redact    []string
	redactEnv []string
}

func (o *storing) flags(f *pflag.FlagSet) {
	f.Var(&o.noStore, "no-store", "do not store `WHAT`: output (a replay then prints nothing), args (the command line and the values of --hash-value) or all; repeatable")
	f.StringArrayVar(&o.redact, "redact", nil, "store and print [redacted] where the regular expression `REGEX` matches within a line; repeatable")
	f.StringArrayVar(&o.redactEnv, "redact-env", nil, "store and print [redacted] for the value of environment variable `NAME`, and for each of its lines of 4 bytes or more; repeatable")
}

// noStore is the value of --no-store.
type noStore struct{ output, args bool }

func (n *noStore) String() string { return "" }
func (n *noStore) Type() string   { return "WHAT" }

// Set adds: that one flag should take back another would store a secret.
func (n *noStore) Set(s string) error {
	switch s {
	case "output":
		n.output = true
	case "args":
		n.args = true
	case "all":
		n.output, n.args = true, true
	default:
		return errors.New("want one of output, args, all")
	}
	return nil
}

// retention is what may be stored and shown of a call. The zero value is everything.
type retention struct {
	no       noStore
	redactor *redact.Redactor // nil: takes nothing out
}

// remember returns what the flags leave of what is stored and shown, and hides the
// values of --redact-env from all messages. It comes before anything is stored or
// shown. key is the one that the user gave, if any: the key and the namespace are
// stored as they are, so neither may hold what is to be redacted.
func (a *app) remember(o *storing, key string) (retention, error) {
	keep := retention{no: o.noStore}
	if len(o.redact)+len(o.redactEnv) == 0 {
		return keep, nil
	}
	secrets, err := a.secrets(o.redactEnv)
	if err != nil {
		return keep, err
	}
	for _, expr := range o.redact {
		if _, err := redact.New([]string{expr}, nil); err != nil {
			if of := inputs.Environ(os.Environ()).VariableWith(expr); of != "" { // a secret, most likely
				return keep, usage("--redact requires a regular expression").
					detail("the value given is not shown, because it is the value of a variable").
					hint("name the variable, without a dollar sign: --redact-env %s", of)
			}
			return keep, usage("--redact %s: %v", quote(expr), err)
		}
	}
	if keep.redactor, err = redact.New(o.redact, secrets); err != nil {
		return keep, err // unreachable: all were looked at
	}
	// What an expression matches may be in any message of ours, as digits are;
	// the value of a secret has no business there.
	if a.ui.secrets, err = redact.New(nil, secrets); err != nil {
		return keep, err
	}
	for name, value := range map[string]string{"key": key, "namespace": a.namespace} {
		if keep.redactor.Finds([]byte(value)) {
			return keep, usage("the %s contains a value that --redact or --redact-env removes", name).
				detail("the %s is stored and shown unchanged", name).
				hint("choose a %s without a secret", name)
		}
	}
	return keep, nil
}

// secrets returns the values of environment variables.
func (a *app) secrets(names []string) ([]string, error) {
	var secrets []string
	env := inputs.Environ(os.Environ())
	for _, name := range names {
		if err := env.Check("--redact-env", name, false); err != nil {
			return nil, inputFailure(err)
		}
		value, set := env.Lookup(name)
		switch {
		case !set:
			a.ui.warn("--redact-env: variable %s is not set, so nothing is redacted for it", escape(name))
		case strings.TrimSpace(value) == "": // as where a CI system has no such secret
			if a.ui.verbose {
				a.ui.note("--redact-env: variable %s is empty, so nothing is redacted for it", escape(name))
			}
		default:
			if err := redact.CheckSecret(value); err != nil {
				return nil, usage("--redact-env: the value of %s %v", escape(name), err).
					hintFlags("to match the text around it instead", `--redact 'pin=\S+'`).
					hintFlags("to store nothing", "--no-store all")
			}
			secrets = append(secrets, value)
		}
	}
	return secrets, nil
}

// inputs returns inputs as they are stored and shown.
func (k retention) inputs(in hashkey.Inputs) hashkey.Inputs {
	if k.no.args {
		in = in.Withhold()
	}
	if k.redactor != nil {
		in = in.Hide(k.redactor.Bytes)
	}
	return in
}

// recorded returns inputs that are stored, maybe by a call that kept more, as
// they may be shown.
func (k retention) recorded(stored []byte) []byte {
	if !k.no.args && k.redactor == nil {
		return stored
	}
	in, err := hashkey.Decode(stored)
	if err != nil {
		return stored // as such it is told
	}
	return k.inputs(in).Encode()
}

// redacted returns what r reads as it may be stored. When that is at its end,
// capture says whether something was taken out.
func (k retention) redacted(r io.Reader) (kept io.Reader, capture func() ledger.Capture) {
	if k.redactor == nil {
		return r, nil
	}
	out, in := io.Pipe()
	s := k.redactor.Stream(func(p []byte) { _, _ = in.Write(p) }) // an error: the reader has stopped
	go func() {
		_, err := io.Copy(writer(s.Write), r)
		s.Flush()
		in.CloseWithError(err) // EOF for none
	}()
	return out, func() ledger.Capture { return ledger.Capture{Redacted: s.Took()} }
}

// writer is a function as an io.Writer.
type writer func([]byte)

func (w writer) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
