//go:build postgres

package cmd_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"idem/ledger/postgres/pgtest"
)

// sharedForm is a way to reach the shared ledger of a test.
type sharedForm struct {
	server *pgtest.Server
	url    func(user, schema string) string
	env    []string // for the connection
}

// sharedDirect is a server on a unix socket.
func sharedDirect(t *testing.T) sharedForm {
	s := pgtest.Shared(t)
	return sharedForm{server: s, url: func(user, schema string) string { return s.URL(user, pgtest.Database, schema) }}
}

// sharedPooled is a PgBouncer in transaction mode, with two connections to the server for
// each role.
func sharedPooled(t *testing.T) sharedForm {
	s := pgtest.Shared(t)
	p := s.Pooler(t, pgtest.PoolerOptions{})
	return sharedForm{server: s, url: func(user, schema string) string { return p.URL(user, pgtest.Database, schema) }}
}

// sharedTLS is TCP with TLS, verified certificates and passwords.
func sharedTLS(t *testing.T) sharedForm {
	s := pgtest.Start(t, pgtest.Options{TLS: true})
	return sharedForm{
		server: s, url: func(user, schema string) string { return s.TCPURL(user, pgtest.Database, schema) },
		env: []string{"PGPASSFILE=" + pgtest.PassFile(t)},
	}
}

// newLedger makes a shared ledger with idem ledger init. It returns the URL of a role that
// may use it and has no other rights.
func (f sharedForm) newLedger(t *testing.T) (place string, err error) {
	schema := f.server.NewSchema(t)
	state, err := os.MkdirTemp("", "idem-init-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(state)
	c := exec.Command(filepath.Join(binary(), "idem"), "ledger", "init", "--grant", pgtest.CI, f.url(pgtest.Owner, schema))
	c.Env = append([]string{"HOME=" + state, "STATE_DIRECTORY=" + state}, f.env...)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %v\n%s", c.Args, err, out)
	}
	return f.url(pgtest.CI, schema), nil
}

// tables returns the names of the tables of the ledger at a URL, and their schema.
func (f sharedForm) tables(place string) (schema string, names []string, err error) {
	u, err := url.Parse(place)
	if err != nil {
		return "", nil, err
	}
	schema = u.Query().Get("schema")
	rows, err := f.server.Try(pgtest.Superuser,
		"select relname from pg_class where relkind = 'r' and relnamespace = to_regnamespace('"+schema+"') order by 1")
	return schema, strings.Fields(rows), err
}

// look implements scriptPlace. It leaves out claims, and a record without history, which
// stays from a claim.
func (f sharedForm) look(place string) (map[string]string, error) {
	schema, tables, err := f.tables(place)
	if err != nil {
		return nil, err
	}
	rows := map[string]string{}
	for _, table := range tables {
		row := "to_jsonb(t)"
		if table == "record" {
			row += " - '{holder,site,claim_host,claim_pid,lease,renewed,lease_until,takeover}'::text[]"
		}
		where := map[string]string{"record": " where seq > 0 or generation > 1"}[table]
		rows[table], err = f.server.Try(pgtest.Superuser, "select "+row+" from "+schema+"."+table+" t"+where+" order by 1")
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// has implements scriptPlace.
func (f sharedForm) has(place, text string) (bool, error) {
	schema, tables, err := f.tables(place)
	for _, table := range tables {
		found, err := f.server.Try(pgtest.Superuser, fmt.Sprintf(
			"select count(*) from %s.%s t where strpos(t::text, '%s') > 0 or strpos(t::text, '%x') > 0", schema, table, text, text))
		if err != nil || found != "0" {
			return true, err
		}
	}
	return false, err
}

// damage implements scriptPlace.
func (f sharedForm) damage(place string) error {
	schema, _, err := f.tables(place)
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
