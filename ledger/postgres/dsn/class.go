package dsn

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Kind is the class of an error of a connection or a statement.
type Kind int

// The kinds of errors. Other is an error of none of the kinds.
const (
	Other       Kind = iota
	Unreachable      // no server, no answer, a server that starts or stops, a broken connection
	TooMany          // the server or the pooler has too many clients
	Auth             // wrong password, no such user, or a way of authentication that is not possible
	NoDatabase       // the database does not exist
	ReadOnly         // a standby, or a server that is read-only
	TLS              // no TLS where it is required, or a certificate that is not trusted
	Denied           // the user lacks a right
	NoSchema         // the schema or a table does not exist
	Full             // the server has no space left
	Pooling          // a pooler that allows no transaction of several round trips
)

// rank orders the kinds by how telling they are. From Denied on, another host or moment
// does not help.
var rank = map[Kind]int{
	Other: 0, Unreachable: 1, ReadOnly: 2, TooMany: 3, Full: 4, TLS: 5, NoSchema: 6, Denied: 7, Pooling: 7, NoDatabase: 8, Auth: 9,
}

// states has the kinds of states of SQL; a state of two letters is a class.
var states = map[string]Kind{
	"08": Unreachable, "57P01": Unreachable, "57P02": Unreachable, "57P03": Unreachable, "57P05": Unreachable,
	"53300": TooMany, "28": Auth, "3D000": NoDatabase, "25006": ReadOnly, "42501": Denied, "42P01": NoSchema,
	"3F000": NoSchema, "53100": Full,
}

// said is a text in an error that has no type, or of a pooler that uses one state for all.
type said struct {
	part string
	kind Kind
	text string // "": the error's text itself
}

// poolers has messages of PgBouncer with the state 08P01. Any other one is Unreachable.
var poolers = []said{
	{"no more connections allowed", TooMany, ""},
	{"too many", TooMany, ""},
	{"no such database", NoDatabase, ""},
	{"no such user", Auth, ""},
	{"auth", Auth, ""},
	{"unsupported startup parameter", Other, ""},
	{"transaction blocks not allowed", Pooling, "the pooler is in statement mode, in which there are no transactions"},
	{"server_login_retry", Unreachable, "the pooler cannot reach the server"},
}

// drivers has messages of pgconn.
var drivers = []said{
	{"authentication method requirement", Auth, "the server asks for a way of authentication that require_auth excludes"},
	{"channel binding", Auth, "the server does not offer the channel binding that is required"},
	{"no GSSAPI provider", Auth, "the server asks for Kerberos (GSSAPI), which idem does not support"},
	{"server does not support SCRAM", Auth, "the server asks for a way of authentication that idem does not support"},
	{"ServerSignature", Auth, "the server did not prove that it knows the password"},
	{"SCRAM", Auth, "the authentication by SCRAM failed"},
	{"SASL", Auth, "the authentication failed"},
	{"SSL certificate", TLS, "the server did not take the certificate that sslcertmode requires"},
	{"server refused TLS", TLS, "the server does not support TLS"},
	{"tls: ", TLS, "the TLS handshake failed"},
	{"x509: ", TLS, "the certificate of the server is not trusted"},
	{"conn closed", Unreachable, "the connection is closed"},
	{"max body length", Other, "the answer is not that of a PostgreSQL server"},
	{"unknown message type", Other, "the answer is not that of a PostgreSQL server"},
}

var errReadOnly = errors.New("the server is read-only")

// Class returns the kind of an error of Dial or of a statement on its connection.
func Class(err error) Kind {
	kind, _ := classify(err)
	return kind
}

// Text returns one line about an error of Dial or of a statement on its connection. It has
// no secret. Text of a message by the server is the server's, in its language.
func Text(err error) string {
	_, text := classify(err)
	return text
}

// classify returns the kind and the text of an error.
func classify(err error) (Kind, string) {
	var dial *DialError
	var refused *Error
	var command *errPassword
	var server *pgconn.PgError
	var name *net.DNSError
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	switch {
	case err == nil:
		return Other, ""
	case errors.As(err, &dial):
		return dial.Kind, dial.text
	case errors.As(err, &refused):
		return Other, refused.Text
	case errors.As(err, &command):
		return Auth, command.text
	case errors.Is(err, errReadOnly):
		return ReadOnly, errReadOnly.Error()
	case errors.As(err, &server):
		return ofServer(server)
	case errors.As(err, &tooLong):
		return Other, "the answer is not that of a PostgreSQL server"
	}
	if kind, text := ofTLS(err); kind != Other {
		return kind, text
	}
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return Other, "canceled"
	case errors.As(err, &name) && name.IsNotFound:
		return Unreachable, "the host name is unknown"
	case errors.As(err, &name):
		return Unreachable, "the host name cannot be looked up at the moment"
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err), errors.As(err, &timeout) && timeout.Timeout():
		return Unreachable, "no answer in time"
	}
	return ofNetwork(err)
}

// ofNetwork returns the kind and the text of an error of the operating system, or else of
// pgconn.
func ofNetwork(err error) (Kind, string) {
	var errno syscall.Errno
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Unreachable, "no server has its socket in the directory"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return Unreachable, "no permission to connect"
	case errors.As(err, &errno):
		return Unreachable, errno.Error() // such as: connection refused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Unreachable, "the server closed the connection"
	case errors.Is(err, net.ErrClosed), errors.Is(err, pgconn.ErrConnClosed):
		return Unreachable, "the connection is closed"
	}
	for _, s := range drivers {
		if strings.Contains(err.Error(), s.part) {
			return s.kind, s.text
		}
	}
	return Other, "the connection failed"
}

// ofServer returns the kind and the text of an error that the server reported.
func ofServer(e *pgconn.PgError) (Kind, string) {
	text := line(e.Message)
	kind, ok := states[e.Code]
	if !ok && len(e.Code) == 5 {
		kind = states[e.Code[:2]]
	}
	switch {
	case e.Code == "08P01":
		for _, s := range poolers {
			if strings.Contains(e.Message, s.part) {
				return s.kind, cmp.Or(s.text, text)
			}
		}
	case kind == ReadOnly:
		return kind, errReadOnly.Error()
	case kind == Full:
		return kind, "the server has no space left"
	}
	return kind, text
}

// ofTLS returns the kind and the text of an error of TLS, or Other.
func ofTLS(err error) (Kind, string) {
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &host):
		return TLS, "the certificate of the server has another host name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return TLS, "the certificate of the server has expired, or is not valid yet"
	case errors.As(err, &unknown):
		return TLS, "the certificate of the server is not signed by an authority that is trusted"
	case errors.As(err, &invalid), errors.As(err, &verify):
		return TLS, "the certificate of the server is not trusted"
	case errors.As(err, &alert):
		return TLS, "the server refused the TLS handshake: " + strings.TrimPrefix(line(alert.Error()), "tls: ")
	case errors.As(err, &record):
		return TLS, "the answer of the server is not TLS"
	}
	return Other, ""
}

// maxLine is the length at which a message of the server is cut.
const maxLine = 300

// line returns a message as one line without control characters, in lower case as far as
// its first word is an ordinary one.
func line(message string) string {
	s := strings.ToValidUTF8(message, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + "..."
	}
	if len(s) > 1 && 'A' <= s[0] && s[0] <= 'Z' && 'a' <= s[1] && s[1] <= 'z' {
		s = strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
