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

// Report is the JSON that is printed.
type Report struct {
	Integrity []string
	Attempts  []Attempt
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: integrity LEDGER.DB")
		os.Exit(2)
	}
	r, err := inspect(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integrity:", err)
		os.Exit(1)
	}
}

// inspect reads the report from a database.
func inspect(path string) (Report, error) {
	uri := url.URL{Scheme: "file", Path: path, RawQuery: "mode=rw"} // not rwc, which would make a missing file
	db, err := sql.Open("sqlite", uri.String())
	if err != nil {
		return Report{}, err
	}
	defer db.Close()
	var r Report
	err = query(db, "pragma integrity_check", func(rows *sql.Rows) error {
		var s string
		err := rows.Scan(&s)
		r.Integrity = append(r.Integrity, s)
		return err
	})
	if err != nil {
		return Report{}, err
	}
	const attempts = "select cast(r.key as text), a.run_id, a.state, a.reason from attempts a join records r on r.id = a.record order by a.id"
	err = query(db, attempts, func(rows *sql.Rows) error {
		var a Attempt
		err := rows.Scan(&a.Key, &a.Run, &a.State, &a.Reason)
		r.Attempts = append(r.Attempts, a)
		return err
	})
	return r, err
}

// query makes a query and calls f for each row.
func query(db *sql.DB, text string, f func(*sql.Rows) error) error {
	rows, err := db.Query(text)
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
