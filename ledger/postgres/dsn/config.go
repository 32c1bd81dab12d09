// Package dsn reads the URL of a shared ledger and dials its server.
//
// It parses the URL and resolves the environment, service files and password files by
// itself, as libpq does. Package pgconn gets the result without a password and never
// names the cause of a refusal: the texts of its parser can contain passwords. No text of
// this package contains a password or the value of a key of the URL.
package dsn

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Config is a place of a ledger on a server, ready to be dialled. It is immutable, and
// safe for concurrent use. Printing it shows the same as String.
type Config struct {
	Schema      string        // the schema of the tables of the ledger
	Lease       time.Duration // of the key lease; 0 without it
	Canonical   string        // a URL with everything that was resolved, except for passwords
	HasPassword bool          // the URL contains a password

	settings settings // of libpq, without passwords
	targets  []*target
	secret   hidden
}

// Error is a URL, or an environment, that cannot be used. None of its texts contains a
// password or a value.
type Error struct {
	Text    string
	Details []string
	Hint    string
}

func (e *Error) Error() string { return e.Text }

// refuse returns an Error. The arguments may not come from values.
func refuse(format string, args ...any) *Error { return &Error{Text: fmt.Sprintf(format, args...)} }

// hint sets the hint of the error and returns it.
func (e *Error) hint(text string) *Error {
	e.Hint = text
	return e
}

// detail adds a detail to the error and returns it.
func (e *Error) detail(text string) *Error {
	e.Details = append(e.Details, text)
	return e
}

// Parse returns the configuration of a place, which is a URL as libpq has it, with the
// further keys schema and lease. The function env returns environment variables, as
// os.Getenv does. Parse reads service files, password files and the files of TLS, and
// makes no connection. Each error is an *Error.
func Parse(place string, env func(string) string) (*Config, error) {
	u, err := parseURL(place)
	if err != nil {
		return nil, err
	}
	c := &Config{Schema: "idem", HasPassword: u.password != "", secret: hide(&secret{})}
	if err := c.ownKeys(u); err != nil {
		return nil, err
	}
	if err := refuseEnv(env); err != nil {
		return nil, err
	}
	said, err := c.resolve(u, env)
	if err != nil {
		return nil, err
	}
	if err := c.build(); err != nil {
		return nil, err
	}
	c.readPassfile()
	c.Canonical = c.canonical(said)
	return c, nil
}

// ownKeys takes the keys of idem out of the URL.
func (c *Config) ownKeys(u *parsedURL) *Error {
	if schema, ok := u.settings.take("schema"); ok {
		if err := checkSchema(schema); err != nil {
			return err
		}
		c.Schema = schema
	}
	if lease, ok := u.settings.take("lease"); ok {
		d, err := time.ParseDuration(lease)
		if err != nil || d <= 0 {
			return refuse("the lease in the URL is not a duration").hint("write it like lease=3m")
		}
		c.Lease = d
	}
	return nil
}

// Name returns the place as messages show it: user, hosts, ports, database, and the schema
// if it is not the default.
func (c *Config) Name() string {
	return c.url(nil, c.Schema != "idem")
}

// String returns Name.
func (c *Config) String() string { return c.Name() }

// GoString returns Name.
func (c *Config) GoString() string { return c.Name() }

// Format writes Name for each verb.
func (c *Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.Name()) }

// User returns the name of the user on the server.
func (c *Config) User() string { return c.settings["user"] }

// Database returns the name of the database.
func (c *Config) Database() string { return c.settings["dbname"] }

// abs makes the paths of files absolute, since a child may have another directory.
func (s settings) abs() *Error {
	for key := range s {
		if known[key]&isFile == 0 || key == "sslrootcert" && s[key] == "system" {
			continue
		}
		path, err := filepath.Abs(s[key])
		if err != nil {
			return refuse("the current directory is unknown, and the path of %s is relative to it", key)
		}
		s[key] = path
	}
	return nil
}

// reason returns why a file cannot be read, without its path.
func reason(err error) string {
	switch {
	case os.IsNotExist(err):
		return "it does not exist"
	case os.IsPermission(err):
		return "no permission"
	}
	return "it cannot be read"
}
