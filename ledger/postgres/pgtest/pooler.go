package pgtest

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// PoolerOptions say how a pooler differs from the usual one, which has two connections
// to the server for each role and database, and listens on a unix socket.
type PoolerOptions struct {
	TCP      bool // listen on 127.0.0.1 also
	PoolSize int
	Conf     map[string]string // lines of the section [pgbouncer]
}

// Pooler is a PgBouncer in transaction mode.
type Pooler struct {
	room *room
	dir  string
	port int
	*process
}

// Pooler starts a PgBouncer before the server. It lets every role in, and ends with the
// test.
func (s *Server) Pooler(t T, o PoolerOptions) *Pooler {
	t.Helper()
	NeedPooler(t)
	dir, err := s.room.newDir()
	if err != nil {
		t.Fatal(err)
	}
	p := &Pooler{room: s.room, dir: dir, port: 6432}
	if o.TCP {
		if p.port, err = freePort(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.room.write(p.ini(), p.config(s, o)); err != nil {
		t.Fatal(err)
	}
	if err := p.launch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of the pooler in %s:\n%s", p.dir, tail(p.dir))
		}
		if err := p.end(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(p.dir); err != nil {
			t.Fatal(err)
		}
	})
	return p
}

func (p *Pooler) ini() string { return filepath.Join(p.dir, "pgbouncer.ini") }

func (p *Pooler) config(s *Server, o PoolerOptions) string {
	conf := map[string]string{
		"pool_mode":          "transaction",
		"default_pool_size":  "2",
		"server_reset_query": "", // so that a session state of one client would meet the next
		"unix_socket_dir":    p.dir,
		"listen_port":        strconv.Itoa(p.port),
		"auth_type":          "trust",
		"max_client_conn":    "500",
	}
	if o.TCP {
		conf["listen_addr"] = "127.0.0.1"
	}
	if o.PoolSize > 0 {
		conf["default_pool_size"] = strconv.Itoa(o.PoolSize)
	}
	maps.Copy(conf, o.Conf)
	var b strings.Builder
	// With auth_user, the pooler asks the server for the roles that it does not know.
	fmt.Fprintf(&b, "[databases]\n* = host=%s port=%d auth_user=%s\n[pgbouncer]\n", s.dir, s.port, Superuser)
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		fmt.Fprintf(&b, "%s = %s\n", name, conf[name])
	}
	return b.String()
}

// launch starts the pooler and waits until it accepts connections.
func (p *Pooler) launch() (err error) {
	if p.process, err = p.room.launch(p.dir, pgbouncer(), p.ini()); err != nil {
		return err
	}
	return p.await("pgbouncer", func() bool {
		c, err := net.Dial("unix", p.Addr().String())
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// Addr returns the address of the unix socket.
func (p *Pooler) Addr() net.Addr { return socket(p.dir, p.port) }

// TCPAddr returns the address on 127.0.0.1.
func (p *Pooler) TCPAddr() net.Addr { return tcp(p.port) }

// URL returns the URL by which user reaches the server through the pooler's unix socket.
func (p *Pooler) URL(user, db, schema string) string { return URL(p.Addr(), user, db, schema) }

// Stop ends the pooler and all connections through it.
func (p *Pooler) Stop(t T) {
	t.Helper()
	// From version 1.23 on, SIGTERM waits for the clients.
	if err := p.end(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
}

// Start starts a stopped pooler again.
func (p *Pooler) Start(t T) {
	t.Helper()
	if err := p.launch(); err != nil {
		t.Fatal(err)
	}
}

// Restart stops the pooler and starts it again.
func (p *Pooler) Restart(t T) {
	t.Helper()
	p.Stop(t)
	p.Start(t)
}
