package pgtest

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// The roles and the database of each server. The password of each role is Password, for
// logins that need one.
const (
	Superuser = "postgres"
	Owner     = "idem_owner" // may make schemas
	CI        = "idem_ci"    // has no rights until a ledger grants some
	Database  = "idem"
	Password  = "correct horse" // a URL, a service file and a password file quote a blank differently
)

// template returns a data directory, which is made once and copied for each server.
var template = sync.OnceValues(func() (string, error) {
	r, err := theRoom()
	if err != nil {
		return "", err
	}
	dir, err := r.newDir()
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	if err := r.run(filepath.Join(bin(), "initdb"), "-D", data, "-U", Superuser, "-A", "trust",
		"--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"); err != nil {
		return "", err
	}
	// A server in single-user mode executes each line and ends at the end of the input. An
	// error does not change its exit status.
	sql := fmt.Sprintf(`alter role %[1]s password '%[5]s'
create role %[2]s login password '%[5]s'
create role %[3]s login password '%[5]s'
create database %[4]s
grant create on database %[4]s to %[2]s
`, Superuser, Owner, CI, Database, Password)
	c := r.command(filepath.Join(bin(), "postgres"), "--single", "-F", "-D", data, "postgres")
	c.Stdin = strings.NewReader(sql)
	out, err := c.CombinedOutput()
	if err != nil || strings.Contains(string(out), "ERROR:") {
		return "", fmt.Errorf("postgres --single: %v\n%s", err, out)
	}
	return data, nil
})
