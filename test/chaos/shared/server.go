//go:build linux

package shared

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"idem/test/chaos/lab"
	"idem/test/chaos/shared/hosts"
	"idem/test/internal/rig"
)

// tools are the programs of PostgreSQL and PgBouncer, and the user that runs them.
type tools struct {
	bin      string // the directory of PostgreSQL's programs
	pooler   string
	psql     string
	uid, gid uint32
}

// findTools returns a rig.Skipped error if something is missing.
func findTools() (t tools, err error) {
	if os.Geteuid() != 0 {
		return t, rig.Skipped("needs root for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return t, rig.Skipped("needs ip (Debian package iproute2)")
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return t, rig.Skipped("needs a server (Debian package postgresql)")
	}
	slices.Sort(found)
	t.bin = filepath.Dir(found[len(found)-1])
	t.psql = filepath.Join(t.bin, "psql")
	if t.pooler, err = exec.LookPath("pgbouncer"); err != nil {
		if t.pooler, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			return t, rig.Skipped("needs pgbouncer (Debian package pgbouncer)")
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, _ := strconv.ParseUint(u.Uid, 10, 32)
			gid, _ := strconv.ParseUint(u.Gid, 10, 32)
			t.uid, t.gid = uint32(uid), uint32(gid)
			break
		}
	}
	if t.uid == 0 {
		return t, rig.Skipped("needs the user postgres or nobody")
	}
	return t, nil
}

// server is a PostgreSQL server on a host. Its files are in the host's memory.
type server struct {
	tools
	host *hosts.Host
	dir  string // on the host
	log  string // outside
	conf []string
	proc *hosts.Proc
}

// newServer makes a cluster on the host and starts it. name is that of its directory.
func newServer(t tools, h *hosts.Host, name, log string, conf ...string) (*server, error) {
	s := &server{tools: t, host: h, dir: "/mnt/" + name, log: log, conf: conf}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := s.as("initdb", "-D", s.dir+"/data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"); err != nil {
		return nil, err
	}
	hba := "local all all trust\nlocal replication all trust\n"
	if err := os.WriteFile(s.path("data/pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return nil, err
	}
	return s, s.start()
}

func (s *server) makeDir() error {
	return errors.Join(os.Mkdir(s.path(), 0o700), os.Chown(s.path(), int(s.uid), int(s.gid)))
}

func (s *server) path(name ...string) string {
	return s.host.Path(append([]string{filepath.Base(s.dir)}, name...)...)
}

// as runs a program of PostgreSQL on the host as the user of the server.
func (s *server) as(program string, args ...string) error {
	code, err := s.host.Run(s.program(program, args...))
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s: status %d: %s", program, code, tail(s.log))
	}
	return nil
}

func (s *server) program(program string, args ...string) hosts.Program {
	return hosts.Program{
		Args: append([]string{filepath.Join(s.bin, program)}, args...), Env: []string{"PATH=" + s.bin + ":/usr/bin:/bin", "LC_ALL=C"},
		Out: s.log, Err: s.log, UID: s.uid, GID: s.gid,
	}
}

// start starts the server and waits until it accepts connections.
func (s *server) start() error {
	args := []string{"-D", s.dir + "/data", "-k", s.dir}
	// A crash of the machine is not part of these tests, so nothing has to be synced.
	for _, kv := range append([]string{
		"listen_addresses=", "fsync=off", "shared_buffers=32MB", "max_connections=200", "max_wal_size=256MB", "log_min_messages=warning",
		"log_line_prefix=%m [%p] %a ", "wal_level=replica", "autovacuum_naptime=5s",
	}, s.conf...) {
		args = append(args, "-c", kv)
	}
	p, err := s.host.Start(s.program("postgres", args...))
	if err != nil {
		return err
	}
	s.proc = p
	for end := time.Now().Add(lab.Patience); ; time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.Done():
			return fmt.Errorf("the server ended with %d: %s", p.Wait(), tail(s.log))
		default:
		}
		if _, err := s.sql("select 1"); err == nil {
			return nil
		} else if time.Now().After(end) {
			return fmt.Errorf("the server does not start: %w: %s", err, tail(s.log))
		}
	}
}

// stop stops the server: with SIGINT at once, with SIGQUIT without a shutdown, as in a crash.
func (s *server) stop(how unix.Signal) {
	s.proc.Signal(how, false)
	s.proc.Wait()
}

// address returns the address of the server's socket, as this program sees it.
func (s *server) address() net.Addr { return &net.UnixAddr{Net: "unix", Name: s.path(".s.PGSQL.5432")} }

// sql runs statements as the superuser and returns the rows, a line each.
func (s *server) sql(text string) (string, error) {
	c := exec.Command(s.psql, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", s.path(), "-U", "postgres", "-d", "postgres", "-c", text)
	out, err := c.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// standby makes a copy that follows the server, and starts it.
func (s *server) standby(name, log string, conf ...string) (*server, error) {
	b := &server{tools: s.tools, host: s.host, dir: "/mnt/" + name, log: log, conf: conf}
	if err := b.makeDir(); err != nil {
		return nil, err
	}
	if err := b.as("pg_basebackup", "-h", s.dir, "-U", "postgres", "-D", b.dir+"/data", "-R", "-X", "stream", "-c", "fast", "--no-sync"); err != nil {
		return nil, err
	}
	return b, b.start()
}

// promote makes a standby a separate server.
func (s *server) promote() error {
	_, err := s.sql("select pg_promote(true, 60)")
	return err
}

// remove stops the server and removes its files.
func (s *server) remove() {
	s.stop(unix.SIGQUIT)
	lab.Must(os.RemoveAll(s.path()))
}

// pooler is a PgBouncer in transaction mode in front of a server.
type pooler struct {
	server *server
	proc   *hosts.Proc
}

func newPooler(s *server) (*pooler, error) {
	p := &pooler{server: s}
	conf := "[databases]\n* = host=" + s.dir + "\n[pgbouncer]\nlisten_addr=\nlisten_port=6432\nunix_socket_dir=" + s.dir +
		"\nauth_type=trust\nauth_file=" + s.dir + "/users\npool_mode=transaction\ndefault_pool_size=4\nmax_client_conn=500\nserver_reset_query=\nserver_login_retry=1\n"
	if err := errors.Join(
		os.WriteFile(s.path("users"), []byte("\"ci\" \"\"\n\"postgres\" \"\"\n"), 0o644),
		os.WriteFile(s.path("pooler.ini"), []byte(conf), 0o644),
	); err != nil {
		return nil, err
	}
	return p, p.start()
}

func (p *pooler) start() error {
	what := p.server.program("pgbouncer", p.server.dir+"/pooler.ini")
	what.Args[0] = p.server.pooler
	var err error
	p.proc, err = p.server.host.Start(what)
	for end := time.Now().Add(lab.Patience); err == nil; time.Sleep(20 * time.Millisecond) {
		c, failed := net.Dial("unix", p.address().String())
		if failed == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			err = fmt.Errorf("the pooler does not start: %w: %s", failed, tail(p.server.log))
		}
	}
	return err
}

func (p *pooler) stop() {
	p.proc.Signal(unix.SIGQUIT, false)
	p.proc.Wait()
}

func (p *pooler) address() net.Addr {
	return &net.UnixAddr{Net: "unix", Name: p.server.path(".s.PGSQL.6432")}
}

// tail returns the end of a file.
func tail(path string) string {
	b, _ := os.ReadFile(path)
	return string(b[max(0, len(b)-2000):])
}
