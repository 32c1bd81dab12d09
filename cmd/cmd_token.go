package cmd

import (
	"strings"

	"github.com/spf13/cobra"
)

const tokenLong = `Print the IDEM_TOKEN of a key: the UUID that its command finds in its
environment. It is the same for every attempt; only idem forget changes it.`

func (a *app) tokenCommand() *cobra.Command {
	var asHex bool
	var record *recordFlags
	c := &cobra.Command{
		Use:     "token KEY",
		Short:   "Print the IDEM_TOKEN of a key",
		Long:    tokenLong + recordLong + refuseLong,
		Example: "  curl -H \"Idempotency-Key: $(idem token order:4711:charge)\" https://api.example.com/charges",
		Args:    oneArg("key"),
		RunE: func(c *cobra.Command, args []string) error {
			l, ids, want, err := a.openFor(record, args[0])
			if err != nil {
				return err
			}
			rec, err := a.find(c.Context(), l, ids[0], want, record)
			if err != nil {
				return err
			}
			token := tokenOf(rec.ID, rec.Generation)
			if asHex {
				token = strings.ReplaceAll(token, "-", "")
			}
			return a.print(token + "\n")
		},
	}
	record = newRecordFlags(c, nil, false)
	c.Flags().BoolVar(&asHex, "hex", false, "print 32 characters without dashes")
	return c
}
