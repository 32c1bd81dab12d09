// Integrity prints the state of a ledger.db as JSON: the result of the integrity check
// of SQLite, and all attempts in the order in which they began.
package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"

	_ "modernc.org/sqlite"
)

// Attempt is a row of the ledger.
type Attempt struct{ Key, Run, State, Reason string }

// Report is what is printed.
type Report struct {
	Integrity []string
	Attempts  []Attempt
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: integrity LEDGER.DB")
		os.Exit(2)
	}
	r, err := look(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integrity:", err)
		os.Exit(1)
	}
}

func look(path string) (Report, error) {
	place := url.URL{Scheme: "file", Path: path, RawQuery: "mode=rw"} // not rwc: it must be there
	db, err := sql.Open("sqlite", place.String())
	if err != nil {
		return Report{}, err
	}
	defer db.Close()
	var r Report
	err = each(db, "pragma integrity_check", func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		r.Integrity = append(r.Integrity, s)
		return err
	})
	if err != nil {
		return Report{}, err
	}
	const attempts = "select cast(r.key as text), a.run_id, a.state, a.reason from attempts a join records r on r.id = a.record order by a.id"
	err = each(db, attempts, func(rows *sql.Rows) error {
		var a Attempt
		err := rows.Scan(&a.Key, &a.Run, &a.State, &a.Reason)
		r.Attempts = append(r.Attempts, a)
		return err
	})
	return r, err
}

func each(db *sql.DB, query string, f func(*sql.Rows) error) error {
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
