package dsn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sesame = "S3CR3T"

// texts returns each text that a user or a log could get of a result of Parse.
func texts(c *Config, err error) string {
	type holder struct {
		Public  *Config
		private *Config
		value   any
	}
	var b strings.Builder
	shown := []any{err}
	var e *Error
	if errors.As(err, &e) {
		shown = append(shown, *e, e)
	}
	if c != nil {
		// A copy of the struct has the methods of the pointer only if it is addressable.
		shown = append(shown, c, *c, &c, holder{c, c, c}, []*Config{c}, map[string]any{"c": *c}) //nolint:govet
		shown = append(shown, c.Canonical, c.Name(), c.User(), c.Database(), c.secret)
		for i := range c.targets {
			shown = append(shown, c.targets[i].host, c.targets[i].name())
		}
		j, err := json.Marshal(c)
		if err != nil {
			panic(err)
		}
		b.Write(j)
		failed := c.failure(c.targets[0], errors.New("x"), sesame)
		shown = append(shown, failed, *failed)
	}
	for _, v := range shown {
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n%s\n%q\n%d\n%x\n", v, v, v, v, v, v, v)
	}
	return b.String()
}

// hex is the secret as %x shows it.
var hex = fmt.Sprintf("%x", sesame)

func leaks(text string) bool {
	return strings.Contains(text, sesame) || strings.Contains(text, hex) || strings.Contains(text, fmt.Sprint([]byte(sesame)))
}

func TestLeaksAreFound(t *testing.T) {
	for _, text := range []string{"x" + sesame + "y", fmt.Sprintf("%x", "x"+sesame), fmt.Sprintf("%v", []byte(sesame))} {
		if !leaks(text) {
			t.Errorf("%q: got no leak, want one", text)
		}
	}
}

// shapes have the secret at each place where a password can stand, rightly or not.
var shapes = []string{
	"postgres://ci:S3CR3T@db/ops", "postgres://:S3CR3T@db/ops", "postgres://ci:S3CR3T@a,b:1,[::1]:2/ops", "postgres://ci:S3CR3T@/ops?host=/run",
	"postgres://ci:p%40S3CR3T%2F@db/ops?sslmode=verify-full", "postgres://ci:a:S3CR3T:b@db/ops", "postgres://ci:?S3CR3T#&=@db/ops",
	"postgres://ci:a/S3CR3T@db/ops", "postgres://ci:12/S3CR3T@db/ops", "postgres://ci:S3CR3T/x@db/ops", "postgres://ci:1/x?S3CR3T@db/ops",
	"postgres://ci:1/x?a=S3CR3T@db/ops", "postgres://ci:1/x?schema=S3CR3T@db/ops", "postgres://ci:a@S3CR3T@db/ops", "postgres://ci:S3CR3T@b@db/ops",
	"postgres://ci:S3CR3T%@db/ops", "postgres://ci:S3CR3T%zz@db", "postgres://ci:%00S3CR3T@db", "postgres://ci:S3CR3T\x00@db", "postgres://ci:S3CR3T\n@db",
	"postgres://ci:S3CR3T", "postgres://ci:S3CR3T,h/x", "postgres://ci:S3CR3T@db:port/x", "postgres://ci:S3CR3T@[::1/x",
	"postgres://ci:S3CR3T@db/x?foo=bar", "postgres://ci:S3CR3T@db/x?sslmode=never", "postgres://ci:S3CR3T@db/x/y", "postgres://ci:S3CR3T@db/x?sslrootcert=/no",
	"postgres:ci:S3CR3T@db/ops", "postgres:/ci:S3CR3T@db", "postgresql//ci:S3CR3T@db", "Postgres://ci:S3CR3T@db", "//ci:S3CR3T@db", "ci:S3CR3T@db", "S3CR3T",
	"postgres://ci%3AS3CR3T@db/ops", "postgres://ci@db/ops?user=ci:S3CR3T", "postgres://ci@db/ops?user=ci%3AS3CR3T", "postgres://ci%3aS3CR3T@db",
	"postgres://db/ops?password=S3CR3T", "postgres://db/ops?user=ci&pass%77ord=S3CR3T", "postgres://db/ops?sslpassword=S3CR3T", "postgres://db/ops?PASSWORD=S3CR3T",
	"postgres://db/ops?passwd=S3CR3T", "postgres://db/ops?pwd=S3CR3T", "postgres://db/ops?PGPASSWORD=S3CR3T", "postgres://db/ops?password=a&S3CR3T",
	"postgres://db/ops?S3CR3T", "postgres://db/ops?S3CR3T=1", "postgres://db/ops?x=S3CR3T", "postgres://db/ops?options=-c%20a=S3CR3T",
	"postgres://db/ops?application_name=S3CR3T", "postgres://db/ops?sslmode=S3CR3T", "postgres://db/ops?require_auth=S3CR3T", "postgres://db/ops?lease=S3CR3T",
	"postgres://db/ops?connect_timeout=S3CR3T", "postgres://db/ops?channel_binding=S3CR3T", "postgres://db/ops?target_session_attrs=S3CR3T",
	"postgres://db/ops?sslcert=S3CR3T", "postgres://db/ops?sslrootcert=S3CR3T", "postgres://db/ops?sslcert=S3CR3T&sslkey=S3CR3T", "postgres://db/ops?schema=S3CR3T%ff",
	"postgres://db/ops?host=ci:S3CR3T@db", "postgres://db/ops?host=ci:S3CR3T%40db", "postgres://db/ops?port=S3CR3T", "postgres://db/ops?service=S3CR3T",
	"postgres://db/ops?dbname=postgres://ci:S3CR3T@db/x", "postgres://db/ops?dbname=postgres%3A%2F%2Fci%3AS3CR3T%40db", "postgres://db/password%3DS3CR3T",
	"postgres://db/ops?servicefile=S3CR3T", "postgres://db/ops?password_command=echo%20S3CR3T", "host=db password=S3CR3T", "host=db password='S3CR3T'",
}

// surroundings are environments. %s is a directory with files that contain the secret.
var surroundings = [][]string{
	nil,
	{"PGPASSWORD=S3CR3T"},
	{"PGSSLPASSWORD=S3CR3T"},
	{"PGPASSWORD=S3CR3T", "PGSERVICE=nothing"},
	{"PGPASSWORD=S3CR3T", "PGPORT=x"},
	{"IDEM_PG_PASSWORD_COMMAND=echo S3CR3T"},
	{"PGPASSFILE=%s/pass"},
	{"HOME=%s"},
	{"PGSERVICEFILE=%s/service", "PGSERVICE=good"},
	{"PGSERVICEFILE=%s/service", "PGSERVICE=bad"},
	{"PGSERVICEFILE=%s/service", "PGSERVICE=odd"},
	{"PGHOST=ci:S3CR3T@db"},
	{"PGPORT=S3CR3T"},
	{"PGUSER=ci:S3CR3T"},
	{"PGDATABASE=postgres://ci:S3CR3T@db/x"},
	{"PGSSLMODE=S3CR3T"},
	{"PGREQUIREAUTH=S3CR3T"},
	{"PGCONNECT_TIMEOUT=S3CR3T"},
	{"PGHOSTADDR=S3CR3T"},
	{"PGOPTIONS=S3CR3T", "PGAPPNAME=S3CR3T"},
	{"PGGSSENCMODE=S3CR3T"},
	{"PGSSLMINPROTOCOLVERSION=S3CR3T"},
	{"PGSSLKEY=%s/pass", "PGSSLCERT=%s/pass", "PGSSLPASSWORD=S3CR3T"},
	{"PGSSLROOTCERT=%s/pass"},
}

// secretFiles makes the files of surroundings.
func secretFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"pass":    "*:*:*:*:S3CR3T\n",
		".pgpass": "*:*:*:*:S3CR3T\n",
		"service": "[good]\npassword=S3CR3T\nsslpassword=S3CR3T\n[bad]\npassword=S3CR3T\nS3CR3T\n[odd]\nS3CR3T=1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func surround(t *testing.T, dir string, pairs []string) func(string) string {
	t.Helper()
	var own []string
	for _, pair := range pairs {
		own = append(own, strings.ReplaceAll(pair, "%s", dir))
	}
	return environment(t, own...)
}

func TestNoSecretInAnyTextForEachShape(t *testing.T) {
	dir := secretFiles(t)
	parsed, refused := 0, 0
	for _, pairs := range surroundings {
		env := surround(t, dir, pairs)
		for _, shape := range append([]string{"postgres://", "postgres://ci@db/ops"}, shapes...) {
			c, err := Parse(shape, env)
			if text := texts(c, err); leaks(text) {
				t.Errorf("%q with %q: a text has the secret:\n%s", shape, pairs, text)
			}
			if err == nil {
				parsed++
			} else {
				refused++
			}
		}
	}
	if parsed < 100 || refused < 100 {
		t.Errorf("got %d URLs that are valid and %d that are refused, want at least 100 of each", parsed, refused)
	}
}

// 10,000 URLs: shapes with random pieces put in, taken out and exchanged. The secret stays
// whole, and no piece turns a password into a name that is meant to be shown.
func TestNoSecretInAnyTextForRandomURLs(t *testing.T) {
	dir := secretFiles(t)
	var envs []func(string) string
	for _, pairs := range surroundings {
		envs = append(envs, surround(t, dir, pairs))
	}
	pieces := []string{
		"%", "%4", "%40", "%zz", "%00", "/", "?", "&", "=", ":", "[", "]", ",", "#", "\\", "'", " ", "\n", "\x00", "\xff", "é", "postgres://", "..",
		"sslmode=require", "&password=" + sesame, "?password=" + sesame, "&pass%77ord=" + sesame, "%25", "+", ";",
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	parsed := 0
	for range 10_000 {
		place := shapes[random.IntN(len(shapes))]
		for range random.IntN(4) {
			at := random.IntN(len(place) + 1)
			if i := strings.Index(place, sesame); i >= 0 && at > i && at < i+len(sesame) {
				at = i
			}
			place = place[:at] + pieces[random.IntN(len(pieces))] + place[at:]
		}
		if random.IntN(8) == 0 {
			place = strings.Replace(place, "@", url.QueryEscape("@"), 1)
		}
		env := envs[0]
		if random.IntN(2) == 0 {
			env = envs[random.IntN(len(envs))]
		}
		c, err := Parse(place, env)
		if err == nil {
			parsed++
		}
		if err == nil && shownOnPurpose(c) {
			continue
		}
		if text := texts(c, err); leaks(text) {
			t.Fatalf("seed %d, %q: a text has the secret:\n%s", seed, place, text)
		}
	}
	t.Logf("%d of 10000 are valid", parsed)
	if parsed < 100 {
		t.Errorf("got %d valid URLs, want at least 100", parsed)
	}
}

// shownOnPurpose reports whether the random pieces made the secret the name of a host, a
// database, a schema or a file. No parser can know that it was meant as a password.
func shownOnPurpose(c *Config) bool {
	for _, key := range []string{"host", "user", "dbname", "passfile", "sslrootcert", "sslcert", "sslkey", "service"} {
		if strings.Contains(c.settings[key], sesame) {
			return true
		}
	}
	return strings.Contains(c.Schema, sesame)
}

func TestPasswordsInURLsAreFound(t *testing.T) {
	for place, want := range map[string]bool{
		"postgres://ci:pw@h/x": true, "postgres://:pw@h/x": true, "postgres://ci:%70@h/x": true, "postgres://ci:p/w@h/x": true,
		"postgres://h/x?password=pw": true, "postgres://h/x?pass%77ord=pw": true, "postgres://h/x?sslpassword=pw": true,
		"postgres://ci:pw@h/x?foo=1": true, "postgres://ci:pw%@h/x": true,
		"postgres://ci@h:1/x": false, "postgres://ci:@h/x": false, "postgres://h:1/x?sslmode=require": false, "postgres://": false,
		"postgres://h/x?passfile=/f": false,
	} {
		if got := PasswordIn(place); got != want {
			t.Errorf("PasswordIn(%q): got %v, want %v", place, got, want)
		}
		if c, err := Parse(place, environment(t)); err == nil && c.HasPassword != want {
			t.Errorf("HasPassword of %q: got %v, want %v", place, c.HasPassword, want)
		}
	}
}

func TestPasswordsComeFromTheRightPlace(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	passfile := write("pass", "# h:5432:x:u:no\nother:*:*:*:no\nh:5433:x:u:port\nh:*:x:u:by\\:file\\\\\nb:5432:x:u:second\n/run/pg:5432:*:*:socket\nlocalhost:7:*:*:local\n", 0o600)
	open := write("open", "*:*:*:*:pw\n", 0o644)
	services := write("services", "[a]\nhost=h\nuser=u\ndbname=x\npassword = by service\nsslmode=verify-full\noptions=-c a=b\n[b]\nhost=h\n[b]\nhost=i\n", 0o600)
	for _, test := range []struct {
		place string
		env   []string
		want  string // of each host
	}{
		{place: "postgres://u@h/x", want: ""},
		{place: "postgres://u:by%20url@h/x", env: []string{"PGPASSWORD=env", "IDEM_PG_PASSWORD_COMMAND=echo command"}, want: "by url"},
		{place: "postgres://u@h/x", env: []string{"PGPASSWORD=env", "PGPASSFILE=" + passfile}, want: "env"},
		{place: "postgres://u@h/x", env: []string{"PGPASSWORD=env", "IDEM_PG_PASSWORD_COMMAND=echo command"}, want: "command"},
		{place: "postgres://u@h/x", env: []string{"IDEM_PG_PASSWORD_COMMAND=printf 'a b\\n\\n'"}, want: "a b\n"},
		{place: "postgres://u@h/x", env: []string{"PGPASSFILE=" + passfile}, want: `by:file\`},
		{place: "postgres://u@h/x?passfile=" + passfile, want: `by:file\`},
		{place: "postgres://u@h:5433/x", env: []string{"PGPASSFILE=" + passfile}, want: "port"},
		{place: "postgres://v@h/x", env: []string{"PGPASSFILE=" + passfile}, want: ""},
		{place: "postgres://u@h,b,c/x", env: []string{"PGPASSFILE=" + passfile}, want: `by:file\ second `},
		{place: "postgres://u@/x?host=/run/pg", env: []string{"PGPASSFILE=" + passfile}, want: "socket"},
		{place: "postgres://u@/x?host=/run/other&port=7", env: []string{"PGPASSFILE=" + passfile}, want: "local"},
		{place: "postgres://u@h/x", env: []string{"PGPASSFILE=" + open}, want: ""},
		{place: "postgres:///?service=a", env: []string{"PGSERVICEFILE=" + services, "PGPASSWORD=env"}, want: "by service"},
		{place: "postgres:///", env: []string{"PGSERVICEFILE=" + services, "PGSERVICE=a"}, want: "by service"},
	} {
		c := parse(t, test.place, test.env...)
		passed, err := FromPassage(c.Passage())
		if err != nil {
			t.Fatalf("%s: FromPassage: %v", test.place, err)
		}
		for _, c := range []*Config{c, passed} {
			var got []string
			for i := range c.targets {
				password, _, err := c.password(context.Background(), i, &printed{})
				if err != nil {
					t.Errorf("%s: %v", test.place, err)
				}
				got = append(got, password)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%s with %q: got %q, want %q", test.place, test.env, strings.Join(got, " "), test.want)
			}
		}
	}
	c := parse(t, "postgres:///?service=b&sslmode=disable", "PGSERVICEFILE="+services, "PGUSER=u", "PGDATABASE=x")
	if got, want := c.Name(), "postgres://u@h:5432/x"; got != want {
		t.Errorf("got %s, want %s: the first section and the first line count", got, want)
	}
	if got, want := c.Canonical, "postgres://u@h:5432/x?service=b&sslmode=disable"; got != want {
		t.Errorf("got %s, want %s: the service may have the password", got, want)
	}
}

func TestPassagesKeepEverything(t *testing.T) {
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("*:*:*:*:from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{
		"postgres://u:p%ff%20%22@h,i:7/x%ff?schema=s&lease=3m&sslmode=verify-full&connect_timeout=3", "postgres://u@/x?host=/run/pg",
		"postgres://u@h/x?passfile=" + pass,
	} {
		c := parse(t, place)
		if strings.Contains(place, pass) {
			_ = os.Remove(pass) // as at the end of a job that had made it
		}
		t.Setenv("PGSERVICE", "not-there")
		t.Setenv("PGHOST", "elsewhere")
		got, err := FromPassage(c.Passage())
		if err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		if got.Canonical != c.Canonical || got.Name() != c.Name() || got.Schema != c.Schema || got.Lease != c.Lease || got.HasPassword != c.HasPassword {
			t.Errorf("%s: got %s, want %s", place, got.Canonical, c.Canonical)
		}
		for i := range c.targets {
			a, _, _ := c.password(context.Background(), i, &printed{})
			b, _, _ := got.password(context.Background(), i, &printed{})
			if a != b || got.targets[i].name() != c.targets[i].name() || got.targets[i].mode != c.targets[i].mode {
				t.Errorf("%s: host %d differs: got %s, want %s", place, i, got.targets[i].name(), c.targets[i].name())
			}
		}
		if strings.Contains(place, pass) {
			if password, _, _ := got.password(context.Background(), 0, &printed{}); password != "from file" {
				t.Errorf("got %q, want the password of the file that was removed", password)
			}
		}
	}
	for _, bad := range []string{"", "{}", `{"Version":2}`, "S3CR3T", `{"Version":1,"Password":"S3CR3T"}`} {
		if _, err := FromPassage([]byte(bad)); err == nil || leaks(err.Error()) {
			t.Errorf("FromPassage(%q): got %v, want an error without the text", bad, err)
		}
	}
}

func TestPasswordCommandsThatFailShowNoOutput(t *testing.T) {
	for command, want := range map[string]string{
		"echo S3CR3T; echo S3CR3T >&2; exit 3":  "failed (exit status 3)",
		"true # S3CR3T":                         "printed nothing",
		"echo":                                  "printed nothing",
		"kill -9 $$ # S3CR3T":                   "was ended by a signal",
		"printf 'S3CR3T\\0'":                    "printed NUL",
		"head -c 100000 /dev/zero | tr '\\0' x": "printed more than a password",
		"S3CR3T-is-no-program":                  "failed (exit status 127)",
	} {
		c := parse(t, "postgres://u@127.0.0.1:1/x", "IDEM_PG_PASSWORD_COMMAND="+command)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		_, err := c.Dial(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) || leaks(fmt.Sprintf("%v %+v %#v", err, err, err)) {
			t.Errorf("%q: got %v, want %q", command, err, want)
		}
		if Class(err) != Auth {
			t.Errorf("%q: got kind %d, want Auth", command, Class(err))
		}
	}
}
