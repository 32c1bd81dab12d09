package cmd

import (
	"strings"

	"github.com/spf13/cobra"
)

const tokenLong = `Print the IDEM_TOKEN of a key: the UUID that its command finds in its
environment. It is the same for every attempt; only idem forget changes it.`

func (a *app) tokenCommand() *cobra.Command {
	var asHex, asJSON bool
	var record *recordFlags
	c := &cobra.Command{
		Use:     "token KEY",
		Short:   "Print the IDEM_TOKEN of a key",
		Long:    tokenLong + recordLong + refuseLong,
		Example: "  curl -H \"Idempotency-Key: $(idem token order:4711:charge)\" \\\n    https://api.example.com/charges",
		Args:    oneArg("key"),
		RunE: func(c *cobra.Command, args []string) error {
			if asHex && asJSON {
				return clashError("hex", "json", "both choose the form")
			}
			l, ids, want, err := a.openFor(record, args[0])
			if err != nil {
				return err
			}
			rec, err := a.find(c.Context(), l, ids[0], want, record)
			if err != nil {
				return err
			}
			token := tokenOf(rec.ID, rec.Generation)
			if asJSON {
				return a.printJSON(tokenView{metaSchema, rec.ID.Namespace, rec.ID.Key, rec.ID.Window, rec.Generation, token})
			}
			if asHex {
				token = strings.ReplaceAll(token, "-", "")
			}
			return a.print(token + "\n")
		},
	}
	record = newRecordFlags(c, nil, false)
	c.Flags().BoolVar(&asHex, "hex", false, "print 32 characters without dashes")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// tokenView is the JSON object of idem token.
type tokenView struct {
	Schema     int    `json:"schema"`
	Namespace  string `json:"namespace"`
	Key        string `json:"key"`
	Window     string `json:"window"`
	Generation int64  `json:"generation"`
	Token      string `json:"token"`
}
