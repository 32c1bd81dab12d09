package dsn

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// settings are the parameters of a connection by their names in libpq.
type settings map[string]string

// take removes a key and returns its value.
func (s settings) take(key string) (string, bool) {
	value, ok := s[key]
	delete(s, key)
	return value, ok
}

// trait says how a key is used.
type trait int

const (
	isUsed    trait = 1 << iota // a key of libpq that counts
	isOurs                      // a key of idem
	isIgnored                   // refused in a URL; ignored in a service file, which psql reads too
	isFile                      // its value is a path
)

// known has each key of libpq and idem. A key of libpq that would make a connection safer,
// and that pgconn does not have, is not here: it is refused everywhere.
var known = map[string]trait{
	"schema": isOurs, "lease": isOurs,
	"host": isUsed, "port": isUsed, "user": isUsed, "dbname": isUsed, "service": isUsed,
	"passfile": isUsed | isFile, "connect_timeout": isUsed, "target_session_attrs": isUsed,
	"sslmode": isUsed, "sslcert": isUsed | isFile, "sslkey": isUsed | isFile, "sslrootcert": isUsed | isFile,
	"sslcertmode": isUsed, "sslnegotiation": isUsed, "sslsni": isUsed, "channel_binding": isUsed, "require_auth": isUsed,
	"application_name": isIgnored, "fallback_application_name": isIgnored, "options": isIgnored,
	"client_encoding": isIgnored, "keepalives": isIgnored, "keepalives_idle": isIgnored,
	"keepalives_interval": isIgnored, "keepalives_count": isIgnored, "tcp_user_timeout": isIgnored,
	"load_balance_hosts": isIgnored, "sslcompression": isIgnored, "krbsrvname": isIgnored, "gsslib": isIgnored,
	"min_protocol_version": isIgnored, "max_protocol_version": isIgnored,
}

// secretKeys are keys of passwords. pwd and the like are not keys of libpq, but people
// write them.
var secretKeys = map[string]bool{
	"password": true, "sslpassword": true, "pass": true, "passwd": true, "pwd": true, "pgpassword": true, "passphrase": true,
	"oauth_client_secret": true, "scram_client_key": true, "scram_server_key": true,
}

const passwordHint = "use ~/.pgpass, PGPASSFILE or a service file"

// checkKey refuses a key that may not be in a URL.
func checkKey(key string) *Error {
	switch {
	case known[key]&(isUsed|isOurs) != 0:
		return nil
	case key == "application_name" || key == "fallback_application_name":
		return refuse("the key %s may not be in the URL: idem sets the name to its own", key)
	case known[key] != 0 || unsupported[key]:
		return refuse("the key %s in the URL is not supported", key)
	case key == "servicefile":
		return refuse("the key servicefile may not be in the URL").hint("name the file with PGSERVICEFILE")
	}
	e := refuse("the URL has an unknown key")
	if near := nearest(key); near != "" {
		return e.hint("the key may be meant as " + near)
	}
	return e.hint("the keys of idem are schema and lease; the other keys are those of libpq, like sslmode")
}

// unsupported are the keys of libpq that would be ignored at a loss.
var unsupported = map[string]bool{
	"hostaddr": true, "gssencmode": true, "sslcrl": true, "sslcrldir": true, "requirepeer": true, "replication": true,
	"ssl_min_protocol_version": true, "ssl_max_protocol_version": true, "gssdelegation": true,
}

// nearest returns the known key that differs by at most one letter, or "". The key from the
// URL itself is not shown: it may be a part of a password.
func nearest(key string) string {
	plain := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
	for _, name := range slices.Sorted(keys(known)) {
		if known[name]&(isUsed|isOurs) != 0 && within1(plain, strings.ReplaceAll(name, "_", "")) {
			return name
		}
	}
	if plain == "database" || plain == "db" {
		return "dbname"
	}
	return ""
}

// keys returns the keys of a map.
func keys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// within1 reports whether a and b differ by at most one inserted, missing or wrong byte.
func within1(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	switch len(b) - len(a) {
	case 0:
		return i == len(a) || a[i+1:] == b[i+1:]
	case 1:
		return a[i:] == b[i+1:]
	}
	return false
}

// checkSchema refuses a name that PostgreSQL cannot have, or would cut.
func checkSchema(name string) *Error {
	switch {
	case name == "":
		return refuse("the schema in the URL is empty")
	case len(name) > 63:
		return refuse("the name of the schema in the URL is longer than 63 bytes")
	case strings.ContainsRune(name, 0) || !utf8.ValidString(name):
		return refuse("the name of the schema in the URL is not valid text")
	case name == "information_schema" || strings.HasPrefix(name, "pg_"):
		return refuse("the schema in the URL belongs to the database system")
	}
	return nil
}

// choices has the values of the keys with fixed values.
var choices = map[string][]string{
	"sslmode":              {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"},
	"sslcertmode":          {"disable", "allow", "require"},
	"sslnegotiation":       {"postgres", "direct"},
	"sslsni":               {"0", "1"},
	"channel_binding":      {"disable", "prefer", "require"},
	"target_session_attrs": {"any", "read-write", "primary", "read-only", "standby", "prefer-standby"},
}

var authMethods = []string{"password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"}

// check refuses values that are not possible. The text names the key only.
func (s settings) check() *Error {
	for _, key := range slices.Sorted(keys(choices)) {
		if value, ok := s[key]; ok && !slices.Contains(choices[key], value) {
			return refuse("the value of %s is not one of %s", key, strings.Join(choices[key], ", "))
		}
	}
	switch s["target_session_attrs"] {
	case "read-only", "standby", "prefer-standby":
		return refuse("target_session_attrs asks for a server that cannot be written; a ledger is written")
	}
	if s["sslnegotiation"] == "direct" && slices.Contains([]string{"disable", "allow", "prefer"}, s["sslmode"]) {
		return refuse("sslnegotiation=direct requires sslmode=require or stronger")
	}
	if s["sslcertmode"] == "require" && s["sslcert"] == "" {
		return refuse("sslcertmode=require requires sslcert and sslkey")
	}
	if (s["sslcert"] == "") != (s["sslkey"] == "") {
		return refuse("sslcert and sslkey require each other")
	}
	if value, ok := s["connect_timeout"]; ok {
		if _, err := strconv.ParseInt(value, 10, 32); err != nil {
			return refuse("the value of connect_timeout is not a number of seconds")
		}
	}
	if !goodAuth(s["require_auth"]) {
		return refuse("the value of require_auth is not a list of %s, each with ! or none", strings.Join(authMethods, ", "))
	}
	switch user, db := s["user"], s["dbname"]; {
	case strings.Contains(user, ":"):
		return refuse("the name of the user contains a colon")
	case strings.ContainsRune(user, 0) || strings.ContainsRune(db, 0):
		return refuse("the name of the user or the database contains NUL")
	case Is(db) || stray.MatchString(db):
		return refuse("the name of the database seems to be a URL or to contain a password")
	}
	return nil
}

// connectTimeout returns the time for one address, or 0 for no limit. As in libpq, it is
// at least 2 seconds.
func (s settings) connectTimeout() time.Duration {
	n, _ := strconv.ParseInt(s["connect_timeout"], 10, 32)
	if n <= 0 {
		return 0
	}
	return time.Duration(max(n, 2)) * time.Second
}

// goodAuth reports whether a value of require_auth is valid.
func goodAuth(value string) bool {
	if value == "" {
		return true
	}
	methods := strings.Split(value, ",")
	negative := strings.HasPrefix(methods[0], "!")
	for i, method := range methods {
		name, not := strings.CutPrefix(method, "!")
		if not != negative || !slices.Contains(authMethods, name) || slices.Contains(methods[:i], method) {
			return false
		}
	}
	return true
}

// hostName matches names and addresses, with the zone of an IPv6 address.
var hostName = regexp.MustCompile(`^[0-9A-Za-z._:%-]+$`)

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
