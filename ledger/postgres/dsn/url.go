package dsn

import (
	"regexp"
	"strings"
)

// parsedURL is the content of a URL.
type parsedURL struct {
	settings settings // decoded, without the password
	password string
}

// schemes are the beginnings of the URL of a shared ledger.
var schemes = []string{"postgres://", "postgresql://"}

// Is reports whether a place is a URL for this package.
func Is(place string) bool {
	_, ok := afterScheme(place)
	return ok
}

func afterScheme(place string) (string, bool) {
	for _, scheme := range schemes {
		if rest, ok := strings.CutPrefix(place, scheme); ok {
			return rest, true
		}
	}
	return "", false
}

// stray matches text that a person may have meant as a password.
var stray = regexp.MustCompile(`(?i):[^:/@]+@|(?:password|passwd|pwd)[^=&]{0,20}=`)

// PasswordIn reports whether a place seems to contain a password. It is for a URL that
// Parse refuses, and may answer true for a URL without a password.
func PasswordIn(place string) bool {
	if u, err := parseURL(place); err == nil {
		return u.password != ""
	}
	plain, _ := decode(place)
	return stray.MatchString(place) || stray.MatchString(plain) || strings.Contains(place, "@")
}

// parseURL splits a URL at the same characters as libpq. It refuses a URL in which a part
// of a password may have become a host, a port, a database or a key. An @ behind the end
// of the user's part, or a second slash, is a sign of that.
func parseURL(place string) (*parsedURL, *Error) {
	rest, ok := afterScheme(place)
	if !ok {
		return nil, refuse("the URL does not begin with postgres:// or postgresql://")
	}
	for i := range len(place) {
		if place[i] < ' ' || place[i] == 0x7f {
			return nil, refuse("the URL contains a control character")
		}
	}

	u := &parsedURL{settings: settings{}}
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		user, password, _ := strings.Cut(rest[:i], ":")
		rest = rest[i+1:]
		if err := u.set("user", user); err != nil {
			return nil, err
		}
		var good bool
		if u.password, good = decode(password); !good {
			return nil, badEscape()
		}
	}
	if strings.Contains(rest, "@") {
		return nil, refuse("the URL has an @ at an unexpected place").
			hint("write @ as %40, / as %2F, : as %3A and %% as %25 in names and passwords")
	}

	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	if strings.Contains(database, "/") {
		return nil, refuse("the name of the database in the URL contains a slash").hint("write / as %2F")
	}
	if err := u.hosts(hosts); err != nil {
		return nil, err
	}
	if err := u.set("dbname", database); err != nil {
		return nil, err
	}
	if err := u.query(query); err != nil {
		return nil, err
	}
	return u, nil
}

// hosts reads the list of hosts with their ports.
func (u *parsedURL) hosts(list string) *Error {
	if list == "" {
		return nil
	}
	var hosts, ports []string
	for element := range strings.SplitSeq(list, ",") {
		host, port := element, ""
		if strings.HasPrefix(element, "[") {
			end := strings.IndexByte(element, ']')
			if end < 0 || end+1 < len(element) && element[end+1] != ':' {
				return refuse("the brackets of an IPv6 address in the URL do not fit")
			}
			host, port = element[1:end], strings.TrimPrefix(element[end+1:], ":")
		} else {
			host, port, _ = strings.Cut(element, ":")
		}
		host, good := decode(host)
		if !good {
			return badEscape()
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	u.settings["host"] = strings.Join(hosts, ",")
	if strings.Join(ports, "") != "" {
		u.settings["port"] = strings.Join(ports, ",")
	}
	return nil
}

// query reads the keys behind the question mark. A key replaces the part of the URL with
// the same meaning, as in libpq.
func (u *parsedURL) query(query string) *Error {
	if query == "" {
		return nil
	}
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		rawKey, rawValue, found := strings.Cut(pair, "=")
		key, good := decode(rawKey)
		if !good {
			return badEscape()
		}
		if secretKeys[strings.ToLower(key)] {
			return refuse("a password may not be among the keys of the URL").hint(passwordHint)
		}
		if !found {
			return refuse("a key in the URL has no value").hint("write keys like ?sslmode=verify-full&schema=ops")
		}
		value, good := decode(rawValue)
		if !good {
			return badEscape()
		}
		if key == "ssl" && value == "true" { // as libpq, for URLs of JDBC
			key, value = "sslmode", "require"
		}
		if err := checkKey(key); err != nil {
			return err
		}
		if seen[key] {
			return refuse("the key %s is in the URL twice", key)
		}
		seen[key] = true
		if value == "" && known[key]&isOurs == 0 {
			continue // the default, as in libpq
		}
		u.settings[key] = value
	}
	return nil
}

// set decodes a part of the URL and keeps it under a key, unless it is empty.
func (u *parsedURL) set(key, raw string) *Error {
	value, good := decode(raw)
	if !good {
		return badEscape()
	}
	if value != "" {
		u.settings[key] = value
	}
	return nil
}

func badEscape() *Error {
	return refuse("a percent sign in the URL is not followed by two hexadecimal digits, or stands for NUL").
		hint("write % as %25")
}

// decode replaces the escapes %XX. It reports whether all are valid, and none is NUL.
func decode(raw string) (string, bool) {
	if !strings.Contains(raw, "%") {
		return raw, true
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			b.WriteByte(raw[i])
			continue
		}
		if i+2 >= len(raw) {
			return raw, false
		}
		high, low := unhex(raw[i+1]), unhex(raw[i+2])
		if high < 0 || low < 0 || high == 0 && low == 0 {
			return raw, false
		}
		b.WriteByte(byte(high<<4 | low))
		i += 2
	}
	return b.String(), true
}

// unhex returns the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
