package dsn

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// DialError is the error of Dial. Its text is one line without a secret.
type DialError struct {
	Kind Kind
	Hint string // "" or a line of advice

	text  string
	host  string // with its port
	again bool   // another moment may bring another result
	cause []error
}

func (e *DialError) Error() string { return e.text }

// Unwrap returns the error of the server, of the operating system, or of the context. The
// error of pgconn is not among them: it contains the password.
func (e *DialError) Unwrap() []error { return e.cause }

// failure makes the error of an attempt at a target.
func (c *Config) failure(t *target, err error, password string) *DialError {
	err = telling(err)
	e := &DialError{host: t.name()}
	e.Kind, e.text = classify(err)

	var server *pgconn.PgError
	var errno syscall.Errno
	var name *net.DNSError
	unknown := errors.As(err, &name) && name.IsNotFound
	if errors.As(err, &errno) {
		e.cause = append(e.cause, errno)
	}
	if errors.As(err, &server) {
		e.cause = append(e.cause, server)
		// A server that got the password in clear text could repeat it.
		for _, secret := range []string{password, c.secret().password} {
			if len(secret) > 3 && strings.Contains(fmt.Sprintf("%+v", *server), secret) {
				e.text, e.cause = "the server refused the connection", nil
			}
		}
	}
	for _, of := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, of) {
			e.cause = append(e.cause, of)
		}
	}
	switch e.Kind {
	case Unreachable:
		e.again = !unknown && !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM)
	case TooMany, ReadOnly:
		e.again = true
	case NoDatabase:
		e.Hint = "create the database first, as a role that may: create database NAME owner ROLE"
	case TLS:
		switch {
		case errors.As(err, new(x509.UnknownAuthorityError)):
			e.Hint = "name the file with the certificate of the authority in the URL: sslrootcert=FILE"
		case strings.Contains(err.Error(), "server refused TLS"):
			e.text += ", which sslmode=" + t.mode + " requires"
			if !t.chosen {
				e.text = "the server does not support TLS, which is required for hosts other than this one"
				e.Hint = "add sslmode=disable to the URL only if the network between this host and the server is trusted"
			}
		}
	}
	return e
}

// telling returns the most telling error of a connection. With sslmode=prefer there are
// two: of the attempt with TLS, and of that without.
func telling(err error) error {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return err
	}
	list, ok := connect.Unwrap().(interface{ Unwrap() []error })
	if !ok {
		return connect.Unwrap()
	}
	var last error
	for _, one := range list.Unwrap() {
		var server *pgconn.PgError
		if errors.As(one, &server) {
			return one
		}
		last = one
	}
	return last
}

// addHint says how to give a password, or why the password file was not used. A server does
// not tell its clients why it refused one.
func (e *DialError) addHint(c *Config, password, note string) {
	var server *pgconn.PgError
	asked := !errors.As(e, &server) || server.Code == "28P01" // invalid_password: not of a role that is unknown, say
	switch {
	case e.Kind != Auth || !asked:
	case password != "":
		if server != nil {
			e.Hint = "the log of the server has the reason"
		}
	case note != "":
		e.Hint = note
	case c.secret().command == "":
		e.Hint = "no password was found: use ~/.pgpass, PGPASSFILE, a service file or IDEM_PG_PASSWORD_COMMAND"
	}
}

// ended adds the reason why Dial does not try again.
func (e *DialError) ended(ctx context.Context) *DialError {
	if !errors.Is(e, ctx.Err()) {
		e.cause = append(e.cause, ctx.Err())
	}
	return e
}

// name returns the host and the port of a target.
func (t *target) name() string {
	if t.socket() {
		return t.host + "/.s.PGSQL." + t.port
	}
	return net.JoinHostPort(t.host, t.port)
}
