package cmd

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"idem/hashkey"
)

const keyLong = `Print how idem run would identify a call: its key, its window, its fingerprint
and the inputs that the fingerprint is made of. idem runs and changes nothing.

The first run with --hash-env creates the secret that variables are hashed with.
Before that, the fingerprint of such a call and a key derived from it are not
known.` + askLong + `

With --new, print a new UUID (version 7), for use as a key.`

// keyOutput is the JSON object of key --json.
type keyOutput struct {
	Schema      int         `json:"schema"`
	Namespace   string      `json:"namespace"`
	Key         string      `json:"key"`
	Window      string      `json:"window"`
	Fingerprint string      `json:"fingerprint"`
	Inputs      []inputView `json:"inputs"`
}

// inputView is one input. A value that may be a secret is a digest.
type inputView struct {
	Kind    string    `json:"kind"`
	Name    string    `json:"name"`
	Value   jsonBytes `json:"value"`
	Missing bool      `json:"missing"`
	Hidden  bool      `json:"hidden"` // at least in part
}

func (a *app) keyCommand() *cobra.Command {
	var o *runOptions
	var asJSON, fresh bool
	c := &cobra.Command{
		Use:     "key [run flags] [--] COMMAND [ARG...]",
		Short:   "Print the key and the fingerprint of a call",
		Long:    keyLong,
		Example: "  idem key --per day --hash-file config.yml -- ./backup.sh\n  idem key --new",
		RunE: func(c *cobra.Command, args []string) error {
			if fresh {
				if err := checkNew(c.Flags(), args); err != nil {
					return err
				}
				return a.print(newRunID() + "\n")
			}
			keep, err := a.retention(&o.storeFlags, o.key, o.mutexTexts...)
			if err != nil {
				return err
			}
			argv, err := a.afterWait(&o.wait, args, false)
			if err != nil {
				return err
			}
			if err := o.checkPairs(); err != nil {
				return err
			}
			return a.key(c.Context(), o, argv, keep, asJSON)
		},
	}
	o = a.askFlags(c, "keys", "windows", "inputs", "secrets")
	f := c.Flags()
	f.BoolVar(&fresh, "new", false, "print a new UUID instead")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

func (a *app) key(ctx context.Context, o *runOptions, argv []string, keep retention, asJSON bool) error {
	if len(argv) == 0 {
		return usage("idem key requires a command").
			hintForm("idem key [run flags] -- COMMAND [ARG...]").
			hint("for a new random key: idem key --new")
	}
	l, err := a.openLedgerFor(o)
	if err != nil {
		return err
	}
	src := &peekSource{Store: l}
	in, err := a.identify(ctx, o, argv, src, a.now())
	switch {
	case err != nil:
		return err
	case src.noSecret && o.key == "":
		return fail(exitError, "the key is not known yet").detail(noSecretYet)
	case src.noSecret:
		a.ui.warn("the fingerprint is not known yet")
		a.ui.warnDetail(noSecretYet)
	}
	v := keyOutput{
		Schema: metaSchema, Namespace: in.id.Namespace, Key: in.id.Key, Window: in.id.Window,
		Inputs: []inputView{},
	}
	if !src.noSecret {
		v.Fingerprint = in.inputs.Fingerprint()
	}
	for _, p := range keep.inputs(in.inputs).Mask() {
		view := viewInput(p)
		if src.noSecret && p.Kind == hashkey.KindEnv && !view.Missing {
			view.Value, view.Hidden = "", true // a reader could guess the value from a digest without a secret
		}
		v.Inputs = append(v.Inputs, view)
	}
	if asJSON {
		return a.printJSON(v)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{{"key", v.Key}, {"namespace", v.Namespace}, {"window", v.Window}, {"fingerprint", v.Fingerprint}} {
		if row[1] != "" {
			fmt.Fprintf(w, "%s:\t%s\n", row[0], escape(row[1]))
		}
	}
	for _, in := range v.Inputs {
		value := quote(string(in.Value))
		switch {
		case in.Missing:
			value = "missing"
		case in.Hidden && in.Value == "":
			value = "withheld"
		}
		fmt.Fprintf(w, "%s:\t%s\n", escape(strings.TrimSpace(in.Kind+" "+in.Name)), value)
	}
	_ = w.Flush() // into memory
	return a.print(b.String())
}

const noSecretYet = "the first run with --hash-env creates the secret that variables are hashed with"

func viewInput(p hashkey.Part) inputView {
	v := inputView{Kind: string(p.Kind), Name: p.Name, Value: jsonBytes(p.Value), Hidden: p.Hidden}
	switch p.Kind {
	case hashkey.KindEnv, hashkey.KindFile, hashkey.KindStdin:
		v.Missing = string(p.Value) == string(hashkey.Absent())
		v.Value = ""
		if !v.Missing && len(p.Value) > 0 { // else it is withheld
			v.Value = jsonBytes(hex.EncodeToString(p.Value[1:]))
		}
	}
	return v
}
