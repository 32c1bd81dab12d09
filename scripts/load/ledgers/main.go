// Ledgers does with a ledger what load cannot do through idem:
//
//	ledgers fill DIR FROM TO   keys FROM to TO-1 that succeeded, made through the ledger package
//	ledgers hold LEDGER.DB     keeps a read transaction open until its stdin ends
//
// It is a program of its own so that load, whose starts are measured, need not
// carry SQLite.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"

	"github.com/google/uuid"

	"idem/hashkey"
	"idem/ledger"
	"idem/ledger/sqlite"
)

func main() {
	err := errors.New("usage: ledgers fill DIR FROM TO | ledgers hold LEDGER.DB")
	switch args := os.Args[1:]; {
	case len(args) == 4 && args[0] == "fill":
		err = fill(args[1], args[2], args[3])
	case len(args) == 2 && args[0] == "hold":
		err = hold(args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ledgers:", err)
		os.Exit(1)
	}
}
