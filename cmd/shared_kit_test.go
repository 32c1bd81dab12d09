//go:build postgres

package cmd_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// sharedForm is a way to reach the shared ledger of a test.
type sharedForm struct {
	name   string
	server *pgtest.Server
	url    func(user, schema string) string
	env    []string // for the connection
}

// newSharedForm starts a server that is reached in the named form, which ends with the test.
func newSharedForm(t pgtest.T, name string) sharedForm {
	s := pgtest.Start(t, pgtest.Options{TLS: name == "tls", MaxConnections: 300})
	f := sharedForm{name: name, server: s}
	switch name {
	case "direct": // a unix socket
		f.url = func(user, schema string) string { return s.URL(user, pgtest.Database, schema) }
	case "pooled": // PgBouncer in transaction mode, with two connections for each role
		p := s.Pooler(t, pgtest.PoolerOptions{Conf: map[string]string{"server_login_retry": "1"}})
		f.url = func(user, schema string) string { return p.URL(user, pgtest.Database, schema) }
	case "tls": // TCP with TLS, a verified certificate, and a password by SCRAM
		f.url = func(user, schema string) string { return s.TCPURL(user, pgtest.Database, schema) }
		f.env = []string{"PGPASSFILE=" + pgtest.PassFile(t)}
	}
	return f
}

// sharedDirect is the server that tests share, on a unix socket.
func sharedDirect(t *testing.T) sharedForm {
	s := pgtest.Shared(t)
	return sharedForm{server: s, url: func(user, schema string) string { return s.URL(user, pgtest.Database, schema) }}
}

// newLedger makes a shared ledger. It returns the URL of a role that may use it and has no
// other rights.
func (f sharedForm) newLedger(t *testing.T) (place string, err error) {
	schema := f.server.NewSchema(t)
	return f.url(pgtest.CI, schema), f.initLedger(schema)
}

// initLedger makes a shared ledger with idem ledger init.
func (f sharedForm) initLedger(schema string) error {
	state, err := os.MkdirTemp("", "idem-init-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(state)
	c := exec.Command(filepath.Join(binary(), "idem"), "ledger", "init", "--grant", pgtest.CI, f.url(pgtest.Owner, schema))
	c.Env = append([]string{"HOME=" + state, "STATE_DIRECTORY=" + state}, f.env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %v\n%s", c.Args, err, out)
	}
	return nil
}

// sharedTables returns the tables of a shared ledger.
var sharedTables = sync.OnceValue(func() (names []string) {
	b, err := os.ReadFile("../ledger/postgres/schema.sql")
	if err != nil {
		panic(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^create table \{s\}\.(\w+)`).FindAllStringSubmatch(string(b), -1) {
		names = append(names, m[1])
	}
	return names
})

// schemaOf returns the schema of the ledger at a URL.
func schemaOf(place string) (string, error) {
	u, err := url.Parse(place)
	if err != nil {
		return "", err
	}
	return u.Query().Get("schema"), nil
}

// look implements scriptPlace. It leaves out claims and mutexes, which the keeper of a dead call
// gives back at any time, and a record without history, which stays from a claim. It leaves out the
// output of commands that run too, which idem sends while they write it.
func (f sharedForm) look(place string) (map[string]string, error) {
	schema, err := schemaOf(place)
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, table := range sharedTables() {
		if table == "mutex" {
			continue
		}
		part := fmt.Sprintf("select '%s' || to_jsonb(t)::text from %s.%[1]s t", table, schema)
		if table == "record" {
			part = strings.Replace(part, "to_jsonb(t)", "(to_jsonb(t) - '{holder,site,claim_host,claim_pid,lease,renewed,lease_until,takeover}'::text[])", 1) +
				" where seq > 0 or generation > 1"
		}
		if table == "output" {
			part += fmt.Sprintf(" where run_id not in (select run_id from %s.record where state = 'running')", schema)
		}
		parts = append(parts, part)
	}
	found, err := f.server.Try(pgtest.Superuser, strings.Join(parts, " union all "))
	rows := map[string]string{}
	for row := range strings.SplitSeq(found, "\n") {
		rows[row] = ""
	}
	return rows, err
}

// has implements scriptPlace.
func (f sharedForm) has(place, text string) (bool, error) {
	schema, err := schemaOf(place)
	if err != nil {
		return false, err
	}
	var parts []string
	for _, table := range sharedTables() {
		parts = append(parts, fmt.Sprintf("exists (select from %s.%s t where strpos(t::text, '%s') > 0 or strpos(t::text, '%x') > 0)",
			schema, table, text, text))
	}
	found, err := f.server.Try(pgtest.Superuser, "select "+strings.Join(parts, " or "))
	return found != "f", err
}

// inside implements scriptPlace.
func (f sharedForm) inside(place string) string {
	schema, _ := schemaOf(place) // a place of newSharedForm
	return f.server.URL(pgtest.CI, pgtest.Database, schema)
}

// damage implements scriptPlace.
func (f sharedForm) damage(place string) error {
	schema, err := schemaOf(place)
	if err != nil {
		return err
	}
	changed, err := f.server.Try(pgtest.Superuser, fmt.Sprintf(
		"update %s.output set frames = set_byte(frames, 5000, 255 - get_byte(frames, 5000)) where n = 0 and length(frames) > 5000 returning n", schema))
	if err == nil && changed == "" {
		err = errors.New("the ledger has no large output")
	}
	return err
}
