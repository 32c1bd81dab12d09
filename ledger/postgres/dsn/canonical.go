package dsn

import (
	"slices"
	"strings"
)

// canonical returns the URL with everything that was resolved. A command that changes the
// environment of libpq for its purposes reaches the same ledger by it. The passwords are
// missing: they come from the files and variables that they came from before. The files
// in the home directory are missing too, unless they are in said.
func (c *Config) canonical(said settings) string {
	return c.url(func(key string) bool {
		switch key {
		case "host", "port", "user", "dbname":
			return false
		}
		return said[key] != ""
	}, true)
}

// As returns Canonical for another user.
func (c *Config) As(user string) string {
	rest := strings.TrimPrefix(c.Canonical, "postgres://"+encode(c.settings["user"], "")+"@")
	return "postgres://" + encode(user, "") + "@" + rest
}

// url returns the URL of the targets with the keys that a function chooses, and with the
// keys of idem if own is true.
func (c *Config) url(chosen func(key string) bool, own bool) string {
	var b strings.Builder
	b.WriteString("postgres://" + encode(c.settings["user"], "") + "@")
	var pairs []string
	pair := func(key, value string) { pairs = append(pairs, key+"="+encode(value, "/,:")) }
	if slices.ContainsFunc(c.targets, (*target).socket) {
		hosts, ports := c.lists()
		pair("host", hosts)
		if strings.Trim(strings.ReplaceAll(ports, "5432", ""), ",") != "" {
			pair("port", ports)
		}
	} else {
		for i, t := range c.targets {
			if i > 0 {
				b.WriteByte(',')
			}
			host := encode(t.host, ":")
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			b.WriteString(host + ":" + t.port)
		}
	}
	b.WriteString("/" + encode(c.settings["dbname"], ""))
	if own && c.Schema != "idem" {
		pair("schema", c.Schema)
	}
	if own && chosen != nil && c.Lease > 0 {
		pair("lease", c.Lease.String())
	}
	if chosen != nil {
		for _, key := range slices.Sorted(keys(c.settings)) {
			if chosen(key) && c.settings[key] != "" {
				pair(key, c.settings[key])
			}
		}
	}
	for i, p := range pairs {
		b.WriteString(string("?&"[min(i, 1)]) + p)
	}
	return b.String()
}

// encode escapes all bytes except for letters, digits, -._~ and the bytes in free.
func encode(s, free string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~"+free, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
