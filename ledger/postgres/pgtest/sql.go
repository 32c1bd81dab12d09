package pgtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Exec executes statements as the superuser.
func (s *Server) Exec(t T, sql string) {
	t.Helper()
	s.Query(t, sql)
}

// Query executes statements as the superuser. It returns the rows of the last one as
// psql -At prints them, without the last newline.
func (s *Server) Query(t T, sql string) string {
	t.Helper()
	rows, err := s.Try(Superuser, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

// Try executes statements as user through the unix socket. Several statements are one
// transaction.
func (s *Server) Try(user, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	return query(ctx, URL(s.Addr(), user, Database, "", "sslmode=disable"), sql)
}

// query executes statements on a new connection. The environment does not redirect it.
func query(ctx context.Context, url, sql string) (rows string, err error) {
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		return "", err
	}
	config.RuntimeParams = map[string]string{"application_name": "pgtest"}
	c, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer func() {
		if e := c.Close(ctx); err == nil {
			err = e
		}
	}()
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return "", err
	}
	var lines []string
	for _, row := range results[len(results)-1].Rows {
		var cells []string
		for _, cell := range row {
			cells = append(cells, string(cell))
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return strings.Join(lines, "\n"), nil
}

// hot reports whether the server answers a query.
func (s *Server) hot() bool {
	_, err := s.Try(Superuser, "select 1")
	return err == nil
}

// Timeline returns the timeline of the write-ahead log, which a promotion changes.
func (s *Server) Timeline(t T) string {
	t.Helper()
	return s.Query(t, `select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int`)
}

// PassFile makes a password file with Password for every server, and returns its path.
func PassFile(t T) string {
	t.Helper()
	r, err := theRoom()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := r.newDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "pgpass")
	if err := os.WriteFile(path, []byte(fmt.Sprintf("*:*:*:*:%s\n", Password)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
