package dsn

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// target is one host of the list.
type target struct {
	host   string // a name, an address, or the directory of a socket
	port   string
	mode   string // sslmode; "" for a socket
	chosen bool   // the user chose mode
	config *pgconn.Config
}

// socket reports whether the target is a unix socket.
func (t *target) socket() bool { return strings.HasPrefix(t.host, "/") }

// maxMessage is the longest message that a server may send. A page of output has 1 MiB;
// a longer length is a sign of another protocol.
const maxMessage = 64 << 20

// build makes the targets of the settings.
func (c *Config) build() *Error {
	if err := c.split(); err != nil {
		return err
	}
	tcp := false
	for _, t := range c.targets {
		tcp = tcp || !t.socket() && t.mode != "disable"
	}
	if tcp {
		if err := c.checkFiles(); err != nil {
			return err
		}
	}
	for _, t := range c.targets {
		if err := c.configure(t); err != nil {
			return err
		}
	}
	return nil
}

// split makes the targets of the lists of hosts and ports. An empty host is the default;
// a single port is that of all hosts.
func (c *Config) split() *Error {
	hosts, ports := strings.Split(c.settings["host"], ","), strings.Split(c.settings["port"], ",")
	if len(ports) > 1 && len(ports) != len(hosts) {
		return refuse("there are %d ports for %d hosts", len(ports), len(hosts))
	}
	c.targets = nil
	for i, host := range hosts {
		t := &target{host: host, port: ports[min(i, len(ports)-1)]}
		if t.host == "" {
			t.host = defaultHost()
		}
		if t.port == "" {
			t.port = "5432"
		}
		if n, err := strconv.ParseUint(t.port, 10, 16); err != nil || n == 0 {
			return refuse("a port is not a number from 1 to 65535").
				hint("if it is a part of a password, write @ as %40, / as %2F, : as %3A and %% as %25")
		}
		if !t.socket() {
			if !hostName.MatchString(t.host) {
				return refuse("the name of a host contains a character that host names do not have")
			}
			t.mode, t.chosen = c.settings["sslmode"], c.settings["sslmode"] != ""
			switch {
			case t.chosen:
			case loopback(t.host) && c.settings["sslnegotiation"] != "direct":
				t.mode = c.loopbackMode()
			default:
				t.mode = "require"
			}
			if c.settings["sslrootcert"] == "system" && t.mode != "disable" {
				t.mode = "verify-full"
			}
		}
		c.targets = append(c.targets, t)
	}
	c.settings["host"], c.settings["port"] = c.lists()
	return nil
}

// loopbackMode returns the default of sslmode for a loopback address: plain text first, because
// it does not leave this host. TLS first would cost a second connection where the server has
// none. If a setting is about TLS, TLS comes first.
func (c *Config) loopbackMode() string {
	s := c.settings
	if s["sslrootcert"] != "" || s["sslcert"] != "" || s["channel_binding"] == "require" {
		return "prefer"
	}
	return "allow"
}

// lists returns the hosts and the ports of the targets.
func (c *Config) lists() (hosts, ports string) {
	var h, p []string
	for _, t := range c.targets {
		h, p = append(h, t.host), append(p, t.port)
	}
	return strings.Join(h, ","), strings.Join(p, ",")
}

// checkFiles reads the files of TLS. A refusal names the key of the file that is the cause,
// which the error of pgconn does not.
func (c *Config) checkFiles() *Error {
	for _, key := range []string{"sslrootcert", "sslcert", "sslkey"} {
		path := c.settings[key]
		if path == "" || key == "sslrootcert" && path == "system" || key != "sslrootcert" && c.settings["sslcertmode"] == "disable" {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return refuse("the file of %s cannot be used: %s", key, reason(err))
		}
		if block, _ := pem.Decode(content); block == nil {
			return refuse("the file of %s has no PEM block", key)
		}
		if key == "sslrootcert" && !x509.NewCertPool().AppendCertsFromPEM(content) {
			return refuse("the file of %s has no certificate", key)
		}
	}
	return nil
}

// configure makes the configuration of pgconn for a target. Each key is set, because
// pgconn reads the environment for the keys that are missing. The passwords are not among
// them, so no error can contain one; its text is not shown nevertheless.
func (c *Config) configure(t *target) *Error {
	s := c.settings
	servicefile, done := emptyService()
	defer done()
	pairs := [][2]string{
		{"host", t.host},
		{"port", t.port},
		{"user", s["user"]},
		{"database", s["dbname"]},
		{"password", ""},
		{"passfile", ""},
		{"sslpassword", ""},
		{"application_name", ""},
		{"timezone", ""},
		{"options", ""},
		{"connect_timeout", "0"},
		{"min_protocol_version", "3.0"},
		{"max_protocol_version", "3.0"},
		{"servicefile", servicefile},
		{"target_session_attrs", "any"}, // Dial checks it
		{"channel_binding", s["channel_binding"]},
		{"require_auth", s["require_auth"]},
		{"sslmode", t.mode},
		{"sslsni", s["sslsni"]},
		{"sslnegotiation", s["sslnegotiation"]},
		{"sslcertmode", orElse(s["sslcertmode"], "allow")},
		{"sslrootcert", s["sslrootcert"]},
		{"sslcert", s["sslcert"]},
		{"sslkey", s["sslkey"]},
	}
	if t.mode == "disable" {
		pairs = append(pairs, [][2]string{{"sslrootcert", ""}, {"sslcert", ""}, {"sslkey", ""}}...)
	}
	var b strings.Builder
	for _, pair := range pairs {
		b.WriteString(pair[0] + "='" + quoter.Replace(pair[1]) + "' ")
	}
	config, err := pgconn.ParseConfigWithOptions(b.String(), pgconn.ParseConfigOptions{
		GetSSLPassword: c.secret().keyPassword,
	})
	switch {
	case err != nil && !t.socket() && s["sslkey"] != "":
		return refuse("the files of sslcert and sslkey cannot be used together").
			hint("an encrypted key requires PGSSLPASSWORD, and both files belong to the same certificate")
	case err != nil:
		return refuse("the settings of the connection cannot be used")
	}
	config.RuntimeParams = map[string]string{"application_name": applicationName()}
	config.MaxProtocolMessageBodyLen = maxMessage
	config.DialFunc = dialer().DialContext
	config.OnPgError = func(_ *pgconn.PgConn, e *pgconn.PgError) bool { return !Fatal(e) }
	t.config = config
	return nil
}

// Fatal reports whether the server ended the connection with an error. It looks at the
// severity that is not translated, unlike pgconn; servers since PostgreSQL 9.6 send it.
func Fatal(e *pgconn.PgError) bool {
	for _, severity := range []string{e.Severity, e.SeverityUnlocalized} {
		if severity == "FATAL" || severity == "PANIC" {
			return true
		}
	}
	return false
}

// emptyService returns a service file for pgconn. If PGSERVICE is set, pgconn reads that
// service, no matter what the settings say, and fails if a child no longer has the file.
// The file that it gets has the service without any key.
func emptyService() (path string, done func()) {
	name := os.Getenv("PGSERVICE")
	if name == "" {
		return "", func() {}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return "", func() {}
	}
	_, _ = w.WriteString("[" + name + "]\n")
	_ = w.Close()
	return "/dev/fd/" + strconv.Itoa(int(r.Fd())), func() { _ = r.Close() }
}

// quoter escapes a value between single quotes.
var quoter = strings.NewReplacer(`\`, `\\`, `'`, `\'`)

func orElse(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

// applicationName returns the name that the server shows for connections of this host.
// PostgreSQL cuts a longer one.
func applicationName() string {
	host, _ := os.Hostname()
	name := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, host)
	name = strings.TrimRight("idem "+name, " ")
	return name[:min(len(name), 63)]
}
