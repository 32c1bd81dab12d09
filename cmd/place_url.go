package cmd

import (
	"strings"

	"idem/ledger/drivers"
)

// sharedPlace returns the place of a ledger at a URL that --ledger names. env is
// IDEM_LEDGER. All users can read the command line, so it may have no password. Hints show
// the URL of IDEM_LEDGER without its password, so --ledger with that URL means the one
// with the password.
func sharedPlace(url, env string) (string, error) {
	if publicURL(url) != url {
		return "", usage("a password on the command line can be read by every user of this host").
			hint("use ~/.pgpass, PGPASSFILE or a service file; or put the URL into IDEM_LEDGER")
	}
	if drivers.IsShared(env) && publicURL(env) == url {
		return env, nil
	}
	return url, nil
}

// secretKeys are the keys of a URL whose values are secret.
var secretKeys = []string{"password", "sslpassword"}

// publicURL returns the URL of a shared ledger without its passwords, for messages and
// command lines. Other places are returned as they are. It also handles URLs that are not
// valid: a password may have characters that should have been escaped.
func publicURL(place string) string {
	scheme, rest, _ := strings.Cut(place, "://")
	if !drivers.IsShared(place) {
		return place
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 && oddPort(rest[:end]) { // a password that begins with this and has one of /?#
		at = strings.LastIndexByte(rest, '@')
	}
	if at >= 0 {
		user, _, secret := strings.Cut(rest[:at], ":")
		if secret {
			rest = user + rest[at:]
		}
	}
	path, query, ok := strings.Cut(rest, "?")
	if !ok {
		return scheme + "://" + rest
	}
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(part, "=")
		if !isSecretKey(key) {
			kept = append(kept, part)
		}
	}
	if len(kept) > 0 {
		path += "?" + strings.Join(kept, "&")
	}
	return scheme + "://" + path
}

// oddPort reports whether the text after the last colon of hosts is not a port.
func oddPort(hosts string) bool {
	_, port, ok := cutLast(hosts, ':')
	return ok && strings.Trim(port, "0123456789") != "" && !strings.HasSuffix(port, "]")
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

// isSecretKey reports whether a key of a URL, which may have %-escapes, is secret.
func isSecretKey(key string) bool {
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		if key[i] == '%' && i+2 < len(key) {
			b.WriteByte(unhex(key[i+1])<<4 | unhex(key[i+2]))
			i += 2
			continue
		}
		b.WriteByte(key[i])
	}
	for _, secret := range secretKeys {
		if strings.EqualFold(b.String(), secret) {
			return true
		}
	}
	return false
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 0
}

// wrongScheme returns the failure for a value of --ledger or IDEM_LEDGER that is nearly
// the URL of a shared ledger, nil for any other value. It must not become the name of a
// directory. The failure does not show the value, which may have a password. source is the
// name of the flag or the variable.
func wrongScheme(source, value string) *failure {
	if drivers.IsShared(value) {
		return nil
	}
	scheme, _, ok := strings.Cut(value, ":")
	lower := strings.ToLower(strings.TrimSpace(strings.TrimLeft(scheme, `"'`)))
	if !ok || lower != "postgres" && lower != "postgresql" {
		return nil
	}
	return usage("%s is not the URL of a ledger: it must begin with %s://", source, lower).
		hint("a URL is written as %s://USER@HOST/DATABASE", lower)
}
