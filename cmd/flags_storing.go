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

// storeFlags are the flags that limit what idem stores and shows.
type storeFlags struct {
	noStore   noStore
	redact    []string
	redactEnv []string
}

func (o *storeFlags) addTo(f *pflag.FlagSet) {
	f.Var(&o.noStore, "no-store", "do not store `WHAT`: output (a replay then prints nothing), args (the command line and the values of --hash-value) or all; repeatable")
	f.Var((*texts)(&o.redact), "redact", "store and print [redacted] where the regular expression `REGEX` matches within a line; repeatable")
	f.Var((*texts)(&o.redactEnv), "redact-env", "store and print [redacted] for the value of environment variable `NAME`, and for each of its lines of 4 bytes or more; repeatable")
}

// noStore is the value of --no-store.
type noStore struct{ output, args bool }

func (n *noStore) String() string { return "" }
func (n *noStore) Type() string   { return "WHAT" }

// Set adds to the earlier values: replacing one would store a secret.
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

func (n *noStore) words() ([]string, bool) { return []string{"output", "args", "all"}, false }

// retention says what may be stored and shown of a call. The zero value permits
// everything.
type retention struct {
	omit     noStore
	redactor *redact.Redactor // nil: nothing is redacted
}

// retention returns the limits that the flags set, and hides the values of
// --redact-env in all messages. It must be called before anything is stored or shown.
// key is the value of --key, and mutexes are those of --mutex. They and the namespace
// are stored unchanged, so retention refuses them if they contain something to redact.
func (a *app) retention(o *storeFlags, key string, mutexes ...string) (retention, error) {
	keep := retention{omit: o.noStore}
	if len(o.redact)+len(o.redactEnv) == 0 {
		return keep, nil
	}
	secrets, err := a.secrets(o.redactEnv)
	if err != nil {
		return keep, err
	}
	for _, expr := range o.redact {
		if _, err := redact.New([]string{expr}, nil); err != nil {
			if name := inputs.Environ(os.Environ()).VariableWith(expr); name != "" { // probably a secret
				return keep, usage("--redact requires a regular expression").
					detail("the value given is not shown, because it is the value of a variable").
					hint("name the variable, without a dollar sign: --redact-env %s", name)
			}
			return keep, usage("--redact %s: %v", quote(expr), err)
		}
	}
	if keep.redactor, err = redact.New(o.redact, secrets); err != nil {
		return keep, err // unreachable: each expression was checked
	}
	// Messages are redacted by the values only. An expression for digits, for example,
	// would match in most messages.
	if a.ui.secrets, err = redact.New(nil, secrets); err != nil {
		return keep, err
	}
	for name, value := range map[string]string{"key": key, "namespace": a.namespace, "mutex": strings.Join(mutexes, "\n")} {
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
		case strings.TrimSpace(value) == "": // a CI system sets "" for a secret that does not exist
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

// inputs returns inputs as they may be stored and shown.
func (k retention) inputs(in hashkey.Inputs) hashkey.Inputs {
	if k.omit.args {
		in = in.Withhold()
	}
	if k.redactor != nil {
		in = in.Hide(k.redactor.Bytes)
	}
	return in
}

// recordedInputs returns stored inputs as they may be shown. An earlier call may have
// stored more than this one permits.
func (k retention) recordedInputs(stored []byte) []byte {
	if !k.omit.args && k.redactor == nil {
		return stored
	}
	in, err := hashkey.Decode(stored)
	if err != nil {
		return stored // the reader reports that it cannot be decoded
	}
	return k.inputs(in).Encode()
}

// redactedReader returns a reader of the content of r as it may be stored. At its end,
// capture says whether anything was redacted. capture is nil without a redactor.
func (k retention) redactedReader(r io.Reader) (kept io.Reader, capture func() ledger.Capture) {
	if k.redactor == nil {
		return r, nil
	}
	out, in := io.Pipe()
	s := k.redactor.Stream(func(p []byte) { _, _ = in.Write(p) }) // an error: the reader has stopped
	go func() {
		_, err := io.Copy(writerFunc(s.Write), r)
		s.Flush()
		in.CloseWithError(err) // nil: EOF
	}()
	return out, func() ledger.Capture { return ledger.Capture{Redacted: s.Took()} }
}

// writerFunc makes an io.Writer of a function.
type writerFunc func([]byte)

func (w writerFunc) Write(p []byte) (int, error) {
	w(p)
	return len(p), nil
}
