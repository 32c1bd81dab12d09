package pgtest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Options say how a server differs from the usual one, which listens on a unix socket
// only and lets every role in.
type Options struct {
	TCP            bool              // listen on 127.0.0.1 also
	TLS            bool              // TCP with a certificate; a login by TCP needs the password
	HBA            []string          // lines of pg_hba.conf, before those of the kit
	MaxConnections int               // 0 is PostgreSQL's default
	Durable        bool              // fsync; without it a crash of the machine loses data, a crash of the server does not
	Conf           map[string]string // lines of postgresql.conf
}

// Server is a PostgreSQL server.
type Server struct {
	room *room
	dir  string // of the unix socket; its subdirectory data has the cluster
	port int
	o    Options
	ca   *authority // with TLS
	name string     // cluster_name, by which a primary knows its standby
	*process
}

// Start makes a new cluster and starts its server. It ends with the test.
func Start(t T, o Options) *Server {
	t.Helper()
	Need(t)
	s, err := newServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.endWith(t)
	return s
}

// endWith ends the server with the test, and shows its log if the test failed.
func (s *Server) endWith(t T) {
	t.Cleanup(func() {
		err := s.end(syscall.SIGQUIT)
		if t.Failed() {
			t.Logf("the end of the log of the server in %s:\n%s", s.dir, tail(s.dir))
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Fatal(err)
		}
	})
}

func newServer(o Options) (*Server, error) {
	r, err := theRoom()
	if err != nil {
		return nil, err
	}
	from, err := template()
	if err != nil {
		return nil, err
	}
	s := &Server{room: r, o: o}
	if o.TLS {
		if s.ca, err = newAuthority(); err != nil {
			return nil, err
		}
	}
	if s.dir, err = r.newDir(); err != nil {
		return nil, err
	}
	if err := r.run("cp", "-R", from, s.data()); err != nil {
		return nil, err
	}
	// The copy has the mode that the umask gives, and the server refuses any but these.
	if err := os.Chmod(s.data(), 0o700); err != nil {
		return nil, err
	}
	if err := s.configure(); err != nil {
		return nil, err
	}
	return s, s.launch()
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// configure writes the configuration and chooses the port.
func (s *Server) configure() (err error) {
	tcp := s.o.TCP || s.o.TLS
	conf := map[string]string{
		"unix_socket_directories": s.dir,
		"listen_addresses":        "",
		"cluster_name":            s.name,
		"shared_buffers":          "16MB",
		"wal_keep_size":           "256MB", // a standby may lag
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	s.port = 5432
	hba := append(slices.Clone(s.o.HBA), "local all all trust", "local replication all trust")
	if tcp {
		if s.port, err = freePort(); err != nil {
			return err
		}
		conf["listen_addresses"] = "127.0.0.1"
	}
	conf["port"] = strconv.Itoa(s.port)
	if s.o.MaxConnections > 0 {
		conf["max_connections"] = strconv.Itoa(s.o.MaxConnections)
	}
	if !s.o.Durable {
		conf["fsync"] = "off"
	}
	if s.o.TLS {
		cert, key, err := s.ca.server()
		if err != nil {
			return err
		}
		for name, content := range map[string]string{"server.crt": cert, "server.key": key, "ca.crt": s.ca.PEM} {
			if err := s.room.write(filepath.Join(s.dir, name), content); err != nil {
				return err
			}
		}
		if err := os.Chmod(s.CA(), 0o644); err != nil {
			return err
		}
		conf["ssl"] = "on"
		conf["ssl_cert_file"] = filepath.Join(s.dir, "server.crt")
		conf["ssl_key_file"] = filepath.Join(s.dir, "server.key")
		hba = append(hba, "host all all 127.0.0.1/32 scram-sha-256")
	} else {
		hba = append(hba, "host all all 127.0.0.1/32 trust")
	}
	maps.Copy(conf, s.o.Conf)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(conf)) {
		fmt.Fprintf(&b, "%s = '%s'\n", name, strings.ReplaceAll(conf[name], "'", "''"))
	}
	if err := s.room.write(filepath.Join(s.data(), "postgresql.conf"), b.String()); err != nil {
		return err
	}
	return s.room.write(filepath.Join(s.data(), "pg_hba.conf"), strings.Join(hba, "\n")+"\n")
}

// freePort returns a free port below those that the kernel gives to clients. So it is
// still free when a stopped server starts again.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := 20000 + rand.IntN(10000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// launch starts the server and waits until it accepts connections.
func (s *Server) launch() (err error) {
	if s.process, err = s.room.launch(s.dir, filepath.Join(bin(), "postgres"), "-D", s.data()); err != nil {
		return err
	}
	err = s.await("postgres", func() bool {
		b, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
		lines := strings.Split(string(b), "\n")
		if len(lines) < 8 || lines[0] != strconv.Itoa(s.pid) {
			return false // of an earlier server
		}
		state := strings.TrimSpace(lines[7])
		return state == "ready" || state == "standby" && s.hot()
	})
	return err
}

// CA returns the path of the certificate that signed that of the server.
func (s *Server) CA() string { return filepath.Join(s.dir, "ca.crt") }

// Addr returns the address of the unix socket.
func (s *Server) Addr() net.Addr { return socket(s.dir, s.port) }

// TCPAddr returns the address on 127.0.0.1.
func (s *Server) TCPAddr() net.Addr { return tcp(s.port) }

func socket(dir string, port int) net.Addr {
	return &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port))}
}

func tcp(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

// URL returns a URL by which user reaches the server through its unix socket. An empty
// schema is left out.
func (s *Server) URL(user, db, schema string) string { return URL(s.Addr(), user, db, schema) }

// TCPURL returns the URL of the server by TCP. With TLS it has sslmode=verify-full, and
// the login needs Password.
func (s *Server) TCPURL(user, db, schema string) string {
	if s.o.TLS {
		return URL(s.TCPAddr(), user, db, schema, "sslmode=verify-full", "sslrootcert="+s.CA())
	}
	return URL(s.TCPAddr(), user, db, schema, "sslmode=disable")
}

// URL returns the URL of a database behind an address: that of a server, a pooler or a
// proxy. Each of more is KEY=VALUE. The name of a unix socket ends in .s.PGSQL.PORT.
func URL(addr net.Addr, user, db, schema string, more ...string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + db}
	q := url.Values{}
	if addr.Network() == "unix" {
		dir, name := filepath.Split(addr.String())
		q.Set("host", filepath.Clean(dir))
		q.Set("port", strings.TrimPrefix(name, ".s.PGSQL."))
	} else {
		u.Host = addr.String()
	}
	if schema != "" {
		q.Set("schema", schema)
	}
	for _, kv := range more {
		k, v, _ := strings.Cut(kv, "=")
		q.Set(k, v)
	}
	u.RawQuery = q.Encode()
	return u.String()
}
