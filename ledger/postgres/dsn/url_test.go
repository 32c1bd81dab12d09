package dsn

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// environment returns a function for variables. The home directory is empty unless set.
func environment(t *testing.T, pairs ...string) func(string) string {
	t.Helper()
	vars := map[string]string{"HOME": t.TempDir()}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	return func(name string) string { return vars[name] }
}

// parse parses a place that must be valid.
func parse(t *testing.T, place string, pairs ...string) *Config {
	t.Helper()
	c, err := Parse(place, environment(t, pairs...))
	if err != nil {
		t.Fatalf("Parse(%q): %v", place, full(err))
	}
	return c
}

// full returns all texts of an error.
func full(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	return strings.Join(append([]string{e.Text, e.Hint}, e.Details...), "\n")
}

func TestParseResolvesHostsAndKeys(t *testing.T) {
	for _, test := range []struct {
		place     string
		env       []string
		name      string // as messages show it
		canonical string // "": as name
	}{
		{place: "postgres://ci@db.example/ops", name: "postgres://ci@db.example:5432/ops"},
		{place: "postgresql://ci@db.example:6432/ops", name: "postgres://ci@db.example:6432/ops"},
		{place: "postgres://ci:pw@db.example/ops", name: "postgres://ci@db.example:5432/ops"},
		{place: "postgres://ci@db.example", name: "postgres://ci@db.example:5432/ci"},
		{place: "postgres://ci@db.example/", name: "postgres://ci@db.example:5432/ci"},
		{place: "postgres://ci@a,b:1,c/ops", name: "postgres://ci@a:5432,b:1,c:5432/ops"},
		{place: "postgres://ci@[::1]:7/ops", name: "postgres://ci@[::1]:7/ops"},
		{place: "postgres://ci@[fe80::1%25eth0],h/ops", name: "postgres://ci@[fe80::1%25eth0]:5432,h:5432/ops"},
		{place: "postgres://c%40i@h/o%2Fps", name: "postgres://c%40i@h:5432/o%2Fps"},
		{place: "postgres:///ops?host=/run/pg&user=ci", name: "postgres://ci@/ops?host=/run/pg"},
		{place: "postgres://ci@%2Frun%2Fpg:7/ops", name: "postgres://ci@/ops?host=/run/pg&port=7"},
		{place: "postgres://ci@localhost:7/ops?host=/run/pg", name: "postgres://ci@/ops?host=/run/pg&port=7"},
		{place: "postgres://ci@/ops?host=/run/pg,h&port=5432,2", name: "postgres://ci@/ops?host=/run/pg,h&port=5432,2"},
		{place: "postgres://ci@h/ops?port=9&dbname=x&user=y", name: "postgres://y@h:9/x"},
		{place: "postgres://ci@h/ops?sslmode=", name: "postgres://ci@h:5432/ops"},
		{
			place: "postgres://ci@h/ops?schema=team_a&lease=5m", name: "postgres://ci@h:5432/ops?schema=team_a",
			canonical: "postgres://ci@h:5432/ops?schema=team_a&lease=5m0s",
		},
		{place: "postgres://ci@h/ops?schema=idem", name: "postgres://ci@h:5432/ops"},
		{
			place: "postgres://ci@h/ops?schema=a%26b%25", name: "postgres://ci@h:5432/ops?schema=a%26b%25",
		},
		{
			place: "postgres://ci@h/ops?ssl=true", name: "postgres://ci@h:5432/ops",
			canonical: "postgres://ci@h:5432/ops?sslmode=require",
		},
		{
			place: "postgres://ci@h/ops?connect_timeout=3&require_auth=!md5,!password&channel_binding=disable",
			name:  "postgres://ci@h:5432/ops", canonical: "postgres://ci@h:5432/ops?channel_binding=disable&connect_timeout=3&require_auth=%21md5,%21password",
		},
		{place: "postgres:///", env: []string{"PGHOST=e", "PGPORT=3", "PGUSER=eu", "PGDATABASE=ed"}, name: "postgres://eu@e:3/ed"},
		{place: "postgres://u@h/d", env: []string{"PGHOST=e", "PGPORT=3", "PGUSER=eu", "PGDATABASE=ed"}, name: "postgres://u@h:3/d"},
		{
			place: "postgres://u@h/d", env: []string{"PGSSLMODE=prefer"}, name: "postgres://u@h:5432/d",
			canonical: "postgres://u@h:5432/d?sslmode=prefer",
		},
		{
			place: "postgres://u@h/d?sslmode=disable", env: []string{"PGSSLMODE=prefer"}, name: "postgres://u@h:5432/d",
			canonical: "postgres://u@h:5432/d?sslmode=disable",
		},
		{
			place: "postgres://u@h/d", env: []string{"PGREQUIRESSL=1"}, name: "postgres://u@h:5432/d",
			canonical: "postgres://u@h:5432/d?sslmode=require",
		},
		// Variables that concern other programs are ignored.
		{
			place: "postgres://u@h/d", env: []string{"PGAPPNAME=x", "PGOPTIONS=-c a=b", "PGTZ=UTC", "PGGSSENCMODE=prefer"},
			name: "postgres://u@h:5432/d",
		},
	} {
		c := parse(t, test.place, test.env...)
		if got := c.Name(); got != test.name {
			t.Errorf("Name of %q: got %q, want %q", test.place, got, test.name)
		}
		want := test.canonical
		if want == "" {
			want = test.name
		}
		if got := c.Canonical; got != want {
			t.Errorf("Canonical of %q: got %q, want %q", test.place, got, want)
		}
		again, err := Parse(c.Canonical, environment(t))
		if err != nil {
			t.Errorf("Parse(Canonical of %q): %v", test.place, full(err))
		} else if again.Canonical != c.Canonical {
			t.Errorf("Canonical of %q changes when it is parsed again: got %q, want %q", test.place, again.Canonical, c.Canonical)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		place string
		env   string
		text  string
	}{
		{place: "", text: "does not begin with postgres://"},
		{place: "postgres:/h", text: "does not begin with postgres://"},
		{place: "POSTGRES://h/d", text: "does not begin with postgres://"},
		{place: "mysql://h/d", text: "does not begin with postgres://"},
		{place: "postgres://u:p@x@h/d", text: "an @ at an unexpected place"},
		{place: "postgres://u:p/x@h/d", text: "an @ at an unexpected place"},
		{place: "postgres://u:1/x@h/d", text: "an @ at an unexpected place"},
		{place: "postgres://h/d?user=a@b", text: "an @ at an unexpected place"},
		{place: "postgres://u:p/x", text: "a port is not a number"},
		{place: "postgres://u@h:0/x", text: "a port is not a number"},
		{place: "postgres://u@h:65536/x", text: "a port is not a number"},
		{place: "postgres://u@h:%31/x", text: "a port is not a number"},
		{place: "postgres://u@h/x", env: "PGPORT=x", text: "a port is not a number"},
		{place: "postgres://u@h,i,j/x?port=1,2", text: "there are 2 ports for 3 hosts"},
		{place: "postgres://u@h!/x", text: "character that host names do not have"},
		{place: "postgres://u@%40abstract/x", text: "character that host names do not have"},
		{place: "postgres://u@h/x", env: "PGHOST=a b", text: ""},
		{place: "postgres://u@/x", env: "PGHOST=a b", text: "character that host names do not have"},
		{place: "postgres://u@[::1/x", text: "brackets"},
		{place: "postgres://u@[::1]x/x", text: "brackets"},
		{place: "postgres://u@h/x/y", text: "contains a slash"},
		{place: "postgres://u@h/x%", text: "percent sign"},
		{place: "postgres://u@h/x%zz", text: "percent sign"},
		{place: "postgres://u%00@h/x", text: "percent sign"},
		{place: "postgres://u@h/x\n", text: "control character"},
		{place: "postgres://u%3Ap@h/x", text: "the user contains a colon"},
		{place: "postgres://u@h/postgres%3A%2F%2Fu", text: "the database seems to be a URL"},
		{place: "postgres://u@h/x?password=p", text: "a password may not be among the keys"},
		{place: "postgres://u@h/x?pass%77ord=p", text: "a password may not be among the keys"},
		{place: "postgres://u@h/x?sslpassword=p", text: "a password may not be among the keys"},
		{place: "postgres://u@h/x?PASSWORD", text: "a password may not be among the keys"},
		{place: "postgres://u@h/x?foo=1", text: "an unknown key"},
		{place: "postgres://u@h/x?sslmod=require", text: "an unknown key"},
		{place: "postgres://u@h/x?a", text: "has no value"},
		{place: "postgres://u@h/x?sslmode=require&", text: "has no value"},
		{place: "postgres://u@h/x?sslmode=require&sslmode=prefer", text: "the key sslmode is in the URL twice"},
		{place: "postgres://u@h/x?application_name=a", text: "application_name may not be in the URL"},
		{place: "postgres://u@h/x?options=a", text: "options in the URL is not supported"},
		{place: "postgres://u@h/x?hostaddr=1.2.3.4", text: "hostaddr in the URL is not supported"},
		{place: "postgres://u@h/x?sslcrl=f", text: "sslcrl in the URL is not supported"},
		{place: "postgres://u@h/x?servicefile=f", text: "servicefile may not be in the URL"},
		{place: "postgres://u@h/x?sslmode=required", text: "the value of sslmode is not one of disable"},
		{place: "postgres://u@h/x?target_session_attrs=standby", text: "a server that cannot be written"},
		{place: "postgres://u@h/x", env: "PGTARGETSESSIONATTRS=read-only", text: "a server that cannot be written"},
		{place: "postgres://u@h/x?require_auth=md5,!none", text: "the value of require_auth"},
		{place: "postgres://u@h/x?connect_timeout=soon", text: "connect_timeout is not a number"},
		{place: "postgres://u@h/x?sslnegotiation=direct&sslmode=prefer", text: "sslnegotiation=direct requires"},
		{place: "postgres://u@h/x?sslcertmode=require", text: "sslcertmode=require requires"},
		{place: "postgres://u@h/x?sslcert=f", text: "sslcert and sslkey require each other"},
		{place: "postgres://u@h/x?sslrootcert=/nowhere/f", text: "the file of sslrootcert cannot be used: it does not exist"},
		{place: "postgres://u@h/x?schema=", text: "the schema in the URL is empty"},
		{place: "postgres://u@h/x?schema=" + strings.Repeat("x", 64), text: "longer than 63 bytes"},
		{place: "postgres://u@h/x?schema=a%00", text: "percent sign"},
		{place: "postgres://u@h/x?schema=a%ff", text: "not valid text"},
		{place: "postgres://u@h/x?schema=pg_catalog", text: "belongs to the database system"},
		{place: "postgres://u@h/x?lease=3", text: "not a duration"},
		{place: "postgres://u@h/x?lease=-3s", text: "not a duration"},
		{place: "postgres://u@h/x?service=nothing", text: "the service of the connection was not found"},
		{place: "postgres://u@h/x", env: "PGSERVICE=nothing", text: "the service of the connection was not found"},
		{place: "postgres://u@h/x", env: "PGHOSTADDR=1.2.3.4", text: "PGHOSTADDR is set"},
		{place: "postgres://u@h/x", env: "PGSSLCRL=f", text: "PGSSLCRL is set"},
		{place: "postgres://u@h/x", env: "PGREQUIREPEER=f", text: "PGREQUIREPEER is set"},
		{place: "postgres://u@h/x", env: "PGGSSENCMODE=require", text: "PGGSSENCMODE=require is set"},
		{place: "postgres://u@h/x", env: "PGSSLMINPROTOCOLVERSION=TLSv1.3", text: "PGSSLMINPROTOCOLVERSION is set"},
	} {
		_, err := Parse(test.place, environment(t, test.env))
		var e *Error
		switch {
		case test.text == "" && err != nil:
			t.Errorf("Parse(%q) with %q: got %v, want no error", test.place, test.env, err)
		case test.text != "" && (!errors.As(err, &e) || !strings.Contains(e.Text, test.text)):
			t.Errorf("Parse(%q) with %q: got %v, want %q", test.place, test.env, err, test.text)
		}
	}
}

func TestMisspeltKeysGetTheNearestOne(t *testing.T) {
	for key, want := range map[string]string{
		"sslmod": "sslmode", "ssl_mode": "sslmode", "SSLMODE": "sslmode", "schemas": "schema", "leese": "lease",
		"database": "dbname", "S3CR3T": "the keys of idem",
	} {
		_, err := Parse("postgres://u@h/x?"+key+"=1", environment(t))
		if err == nil || !strings.Contains(full(err), want) {
			t.Errorf("the hint for %s: got %v, want %s", key, err, want)
		}
	}
}

func TestOwnKeysAreStripped(t *testing.T) {
	c := parse(t, "postgres://u@h/x?schema=Ops%20%22x%22&lease=90s")
	if c.Schema != `Ops "x"` || c.Lease != 90*time.Second {
		t.Errorf("got schema %q and lease %v, want Ops \"x\" and 1m30s", c.Schema, c.Lease)
	}
	if c := parse(t, "postgres://u@h/x"); c.Schema != "idem" || c.Lease != 0 {
		t.Errorf("got schema %q and lease %v, want idem and 0s", c.Schema, c.Lease)
	}
}

func TestModeOfTLSDependsOnTheHost(t *testing.T) {
	for _, test := range []struct{ place, modes string }{
		{"postgres://u@h/x", "require"},
		{"postgres://u@10.0.0.1/x", "require"},
		{"postgres://u@localhost/x", "allow"},
		{"postgres://u@127.8.8.8/x", "allow"},
		{"postgres://u@[::1]/x", "allow"},
		{"postgres://u@[::ffff:127.0.0.1]/x", "allow"},
		{"postgres://u@localhost.example/x", "require"},
		{"postgres://u@localhost,h,%2Frun/x", "allow require "},
		{"postgres://u@localhost/x?sslmode=verify-full", "verify-full"},
		{"postgres://u@h/x?sslmode=prefer", "prefer"},
		{"postgres://u@localhost/x?sslnegotiation=direct", "require"},
		{"postgres://u@h/x?sslrootcert=system", "verify-full"},
	} {
		var modes []string
		for _, target := range parse(t, test.place).targets {
			modes = append(modes, target.mode)
			secure := target.mode != "" && target.mode != "prefer" && target.mode != "allow"
			if secure && (target.config.TLSConfig == nil || len(target.config.Fallbacks) > 0) {
				t.Errorf("%s: %s can be connected without TLS", test.place, target.host)
			}
		}
		if got := strings.Join(modes, " "); got != test.modes {
			t.Errorf("%s: got %q, want %q", test.place, got, test.modes)
		}
	}
}

func TestPathsAreAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, "postgres://u@h/x?passfile=pass")
	if want := "passfile=" + filepath.Join(dir, "pass"); !strings.Contains(c.Canonical, want) {
		t.Errorf("got %s, want %s in it", c.Canonical, want)
	}
}

func TestOnlyTheNameIsSentToTheServer(t *testing.T) {
	t.Setenv("PGOPTIONS", "-c search_path=evil")
	t.Setenv("PGTZ", "UTC")
	t.Setenv("PGAPPNAME", "x")
	t.Setenv("PGSERVICE", "not-there")
	t.Setenv("PGHOST", "elsewhere")
	t.Setenv("PGSSLMODE", "nonsense")
	t.Setenv("PGPASSWORD", "other")
	for _, target := range parse(t, "postgres://u@h/x").targets {
		params := target.config.RuntimeParams
		if len(params) != 1 || !strings.HasPrefix(params["application_name"], "idem") {
			t.Errorf("got %v, want the name only", params)
		}
		if target.config.Host != "h" || target.config.Password != "" {
			t.Errorf("the environment of the process got into the configuration: %s", target.config.Host)
		}
	}
}
