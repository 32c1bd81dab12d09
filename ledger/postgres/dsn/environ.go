package dsn

import (
	"bufio"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// envKeys has the environment variables that set a key. PGPASSWORD and PGSSLPASSWORD are
// not here: they never become settings. PGAPPNAME, PGOPTIONS, PGTZ and the like are not
// read: idem sends nothing but its name to the server.
var envKeys = map[string]string{
	"PGHOST": "host", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user", "PGPASSFILE": "passfile",
	"PGSERVICE": "service", "PGCONNECT_TIMEOUT": "connect_timeout", "PGTARGETSESSIONATTRS": "target_session_attrs",
	"PGSSLMODE": "sslmode", "PGSSLKEY": "sslkey", "PGSSLCERT": "sslcert", "PGSSLROOTCERT": "sslrootcert",
	"PGSSLCERTMODE": "sslcertmode", "PGSSLSNI": "sslsni", "PGSSLNEGOTIATION": "sslnegotiation",
	"PGCHANNELBINDING": "channel_binding", "PGREQUIREAUTH": "require_auth",
}

// refuseEnv refuses variables of libpq whose protection or effect would be missing.
func refuseEnv(env func(string) string) *Error {
	for _, name := range []string{"PGHOSTADDR", "PGSSLCRL", "PGSSLCRLDIR", "PGREQUIREPEER"} {
		if env(name) != "" {
			return refuse("%s is set, and idem does not support it", name).hint("unset " + name + " for idem")
		}
	}
	if env("PGGSSENCMODE") == "require" {
		return refuse("PGGSSENCMODE=require is set, and idem does not support encryption by GSSAPI").
			hint("unset PGGSSENCMODE for idem")
	}
	switch env("PGSSLMINPROTOCOLVERSION") {
	case "", "TLSv1", "TLSv1.1", "TLSv1.2": // Go's default is the last
	default:
		return refuse("PGSSLMINPROTOCOLVERSION is set, and idem does not support it").
			hint("unset PGSSLMINPROTOCOLVERSION for idem")
	}
	return nil
}

// resolve sets the settings and the secrets: of the URL, else of the service, else of the
// environment, else the defaults. It returns the settings without the defaults.
func (c *Config) resolve(u *parsedURL, env func(string) string) (said settings, bad *Error) {
	s := settings{}
	for name, key := range envKeys {
		if value := env(name); value != "" {
			s[key] = value
		}
	}
	if s["sslmode"] == "" && env("PGREQUIRESSL") == "1" {
		s["sslmode"] = "require"
	}
	c.secret().password = env("PGPASSWORD")
	c.secret().sslPassword = env("PGSSLPASSWORD")

	home := homeDir(env)
	service := u.settings["service"]
	if service == "" {
		service = s["service"]
	}
	if service != "" {
		of, err := readService(service, home, env)
		if err != nil {
			return nil, err
		}
		if password, ok := of.take("password"); ok {
			c.secret().password = password
		}
		if password, ok := of.take("sslpassword"); ok {
			c.secret().sslPassword = password
		}
		maps.Copy(s, of)
	}
	maps.Copy(s, u.settings)

	if command := env("IDEM_PG_PASSWORD_COMMAND"); command != "" {
		c.secret().password, c.secret().command = "", command
	}
	if u.password != "" {
		c.secret().password, c.secret().command = u.password, ""
	}
	if strings.ContainsRune(c.secret().password, 0) {
		return nil, refuse("the password contains NUL")
	}

	said = maps.Clone(s)
	s.defaults(home)
	if s["user"] == "" {
		return nil, refuse("the URL names no user, and this user has no name").hint("write postgres://USER@HOST/DATABASE")
	}
	if s["dbname"] == "" {
		s["dbname"] = s["user"]
	}
	if err := s.abs(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	c.settings = s
	return said, nil
}

// defaults sets the host, the user, and the files in the home directory.
func (s settings) defaults(home string) {
	if s["host"] == "" {
		s["host"] = defaultHost()
	}
	if s["user"] == "" {
		if u, err := user.Current(); err == nil {
			s["user"] = u.Username
		}
	}
	if home == "" {
		return
	}
	in := func(name string) (string, bool) {
		path := filepath.Join(home, ".postgresql", name)
		_, err := os.Stat(path)
		return path, err == nil
	}
	if s["sslcert"] == "" && s["sslkey"] == "" && s["sslcertmode"] != "disable" {
		cert, hasCert := in("postgresql.crt")
		if key, hasKey := in("postgresql.key"); hasCert && hasKey {
			s["sslcert"], s["sslkey"] = cert, key
		}
	}
	if root, ok := in("root.crt"); ok && s["sslrootcert"] == "" {
		s["sslrootcert"] = root
	}
	if s["passfile"] == "" {
		s["passfile"] = filepath.Join(home, ".pgpass")
	}
}

// socketDirs are the directories where a server may have its socket, the most likely first.
var socketDirs = []string{"/var/run/postgresql", "/tmp"}

// defaultHost returns the first directory of sockets that exists.
func defaultHost() string {
	for _, dir := range socketDirs {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return "localhost"
}

// homeDir returns the home directory, or "".
func homeDir(env func(string) string) string {
	if home := env("HOME"); home != "" {
		return home
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

// readService returns the settings of a service. It looks in the file of PGSERVICEFILE,
// or else in that of the user, and then in that of the system.
func readService(name, home string, env func(string) string) (settings, *Error) {
	var files []string
	if file := env("PGSERVICEFILE"); file != "" {
		files = append(files, file)
	} else if home != "" {
		files = append(files, filepath.Join(home, ".pg_service.conf"))
	}
	if dir := env("PGSYSCONFDIR"); dir != "" {
		files = append(files, filepath.Join(dir, "pg_service.conf"))
	}
	e := refuse("the service of the connection was not found")
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			e.Details = append(e.Details, strconv.Quote(file)+": "+reason(err))
			continue
		}
		s, found, bad := parseService(f, name)
		_ = f.Close()
		if bad != nil {
			return nil, bad.detail("in " + strconv.Quote(file))
		}
		if found {
			return s, nil
		}
		e.Details = append(e.Details, strconv.Quote(file)+": it has no such section")
	}
	return nil, e.hint("define the service in ~/.pg_service.conf, or name the file with PGSERVICEFILE")
}

// parseService returns the settings in one section of a service file.
func parseService(f *os.File, name string) (s settings, found bool, bad *Error) {
	s = settings{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '[':
			if found {
				return s, true, nil
			}
			found = line == "["+name+"]"
			continue
		case !found:
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			return nil, false, refuse("a line of the service has no equals sign")
		}
		if _, twice := s[key]; twice {
			continue // the first counts, as in libpq
		}
		switch {
		case key == "password" || key == "sslpassword":
			s[key] = value
		case known[key]&isUsed != 0 && key != "service":
			if value != "" {
				s[key] = value
			}
		case known[key]&isIgnored != 0:
		case unsupported[key]:
			if key != "gssencmode" || value == "require" {
				return nil, false, refuse("the service sets %s, which idem does not support", key)
			}
		default:
			return nil, false, refuse("the service has an unknown key, or one that is not allowed there")
		}
	}
	if lines.Err() != nil {
		return nil, false, refuse("the service file cannot be read")
	}
	return s, found, nil
}
