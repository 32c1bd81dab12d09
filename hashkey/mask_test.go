package hashkey

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestMask checks that texts in angle brackets are masked and all other text is
// shown.
func TestMask(t *testing.T) {
	for _, argv := range [][]string{
		// nothing to mask
		{"true"},
		{"./deploy.sh", "prod", ""},
		{"sh", "-c", "echo x >>side"},
		{"psql", "postgres://app@db:5432/shop"},
		{"psql", "postgres://db:5432/shop?user=app"},
		{"git", "clone", "ssh://git@example.com:22/a/b"},
		{"curl", "https://example.com:8443/a@b:c"},
		{"docker", "login", "--password-stdin", "registry.example.com"},
		{"psql", "--no-password", "shop"},
		{"app", "--password-file", "/run/secrets/db"},
		{"app", "--token-file=/run/t", "--secret-name", "db"},
		{"app", "--bypass", "now", "--compass=north"},
		{"app", "--token", "--verbose"},
		{"env", "PWD=/srv", "ls"},
		{"docker", "run", "-u", "1000:1000", "-p", "80:80", "image"},
		{"ssh", "-p", "22", "host"},
		{"tool", "--monkey", "banana", "--key", "k"},

		// URLs
		{"psql", "postgres://app:<hunter2>@db:5432/shop"},
		{"psql", "--dsn=postgres://app:<hunter2>@db/shop?sslmode=off"},
		{"psql", "postgres://app:<hun/ter@2>@db/shop"},
		{"redis-cli", "redis://:<hunter2>@cache:6379/0"},
		{"sh", "-c", "pg_dump 'postgres://a:<x>@h/d' | psql postgres://b:<y>@h2/d"},
		{"git", "clone", "https://<ghp_0123456789abcdefghij>@example.com/a"},
		{"git", "clone", "https://x-access-token:<ghs_1>@example.com/a"},

		// flags
		{"mysql", "--password", "<hunter2>", "shop"},
		{"mysql", "--password=<hunter2>", "shop"},
		{"mysql", "-p<hunter2>", "shop"},
		{"sudo", "/usr/bin/mysqldump", "-p<hunter2>", "shop"},
		{"sshpass", "-p", "<hunter2>", "ssh", "host"},
		{"redis-cli", "-a", "<hunter2>", "ping"},
		{"java", "-password", "<hunter2>"},
		{"app", "--db-password", "<-hunter2>"},
		{"app", "--DB_PASSWORD", "<hunter2>"},
		{"app", "--token", "<t>", "--secret", "<s>", "--api-key", "<a>", "--apikey=<b>", "--passphrase", "<p>", "--access-key", "<k>"},
		{"aws", "--secret-access-key=<k>", "--pass", "<p>", "--client-secret", "<c>"},
		{"app", "--password=<two words; and & more>"},
		{"openssl", "enc", "-passin", "pass:<hunter2>"},
		{"curl", "-u", "me:<hunter2>", "https://example.com"},
		{"curl", "-ume:<hunter2>", "--user=me:<hunter2>", "--proxy-user", "p:<q>"},

		// assignments
		{"env", "PASSWORD=<x>", "DB_PASS=<y>", "PGPASSWORD=<z>", "MYSQL_PWD=<w>", "run"},
		{"env", "GITHUB_TOKEN=<a=b>", "AWS_SECRET_ACCESS_KEY=<k>", "API_KEY=<l>", "GITHUB_PAT=<m>"},
		{"docker", "run", "-e", "PASSWORD=<my pass; word>", "image"},
		{"docker", "run", "--env=PASSWORD=<x>", "image"},
		{"helm", "--set", "db.password=<x>"},
		{"java", "-Dpassword=<x>"},
		{"kubectl", "create", "--from-literal=token=<x>"},
		{"sh", "-c", "PGPASSWORD=<hunter2> psql -h db; echo token=<x> done"},
		{"sh", "-ec", `PASSWORD="<a b>" DB_PASS='<c d>' ./deploy.sh prod`},
		{"sh", "-c", "mysql --password <hunter2> shop"},
		{"sh", "-c", "curl -u me:<hunter2> https://example.com"},
		{"app", "Server=db;Password=<x>;Database=shop"},
		{"app", "host=db password=<x> dbname=shop"},
		{"curl", "https://example.com/?token=<abc>&page=2"},
		{"curl", "-d", `{"user":"me","password":"<hunter2>","other":"x"}`},
		{"curl", "-d", `{"api_key": "<hun\"ter2>"}`},

		// [redacted] is shown as it is
		{"mysql", "--password", "[redacted]", "--token=[redacted]", "PASSWORD=[redacted]", "postgres://a:[redacted]@h/d"},
		{"sh", "-c", "PGPASSWORD=[redacted] psql; TOKEN=<x> run"},
		{"curl", "-H", "Authorization: Bearer [redacted]", "-u", "me:[redacted]"},

		// headers
		{"curl", "-H", "Authorization: Bearer <x>", "https://example.com"},
		{"curl", "-H", "authorization: <x>"},
		{"curl", "--header=Authorization: Basic <eDp5>"},
		{"curl", "-H", "X-Api-Key: <x>", "-H", "X-Auth-Token: <y>", "-H", "PRIVATE-TOKEN: <z>"},
		{"curl", "-H", "Cookie: <a=b; c=d>"},
		{"sh", "-c", `curl -H "Authorization: Bearer <x>" https://example.com`},
	} {
		var in, want []string
		for _, a := range argv {
			plain, shown := "", ""
			for rest := a; rest != ""; {
				before, after, found := strings.Cut(rest, "<")
				plain, shown = plain+before, shown+before
				if !found {
					break
				}
				secret, rest2, closed := strings.Cut(after, ">")
				if !closed || strings.TrimSpace(before) != "" && strings.HasSuffix(before, ">") {
					t.Fatalf("%q is not a valid test case", a)
				}
				plain, shown, rest = plain+secret, shown+Masked, rest2
			}
			in, want = append(in, plain), append(want, shown)
		}
		if argv[0] == "sh" && strings.Contains(argv[2], ">>side") { // the ">" are redirections
			in, want = argv, argv
		}
		// The quotes around a value in a script are masked with it.
		for i := range want {
			want[i] = strings.NewReplacer(`="`+Masked+`"`, "="+Masked, `='`+Masked+`'`, "="+Masked).Replace(want[i])
		}
		got := Mask(in)
		if !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", in, got, want)
		}
		if again := Mask(got); !slices.Equal(again, got) {
			t.Errorf("%q: masked twice it is %q", got, again)
		}
	}
}

func TestMaskValue(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"version", "1", "1"},
		{"token", "abc", Masked},
		{"db_password", "abc", Masked},
		{"{password}", "abc", Masked},
		{"no-password", "yes", "yes"},
		{"token", "", ""},
		{"url", "https://a:b@c/d", "https://a:" + Masked + "@c/d"},
	} {
		if got := MaskValue(test.name, test.value); got != test.want {
			t.Errorf("%s=%s: got %s, want %s", test.name, test.value, got, test.want)
		}
	}
}

// Diff reports a change of a masked value, and shows none of the secrets.
func TestDiffMasks(t *testing.T) {
	old := append(Argv([]string{"psql", "--password", "s3cret1", "postgres://a:s3cret1@h1/d"}), Part{Kind: KindValue, Name: "token", Value: []byte("s3cret1")})
	is := append(Argv([]string{"psql", "--password", "s3cret2", "postgres://a:s3cret2@h2/d"}), Part{Kind: KindValue, Name: "token", Value: []byte("s3cret2")})
	changes := Diff(old, is)
	if len(changes) != 3 || !changes[0].Masked || changes[1].Masked || !changes[2].Masked {
		t.Errorf("got %v", changes)
	}
	for _, c := range append(changes, Diff(old, nil)...) {
		if strings.Contains(string(c.Old)+string(c.New), "s3cret") {
			t.Errorf("%s: from %s to %s", c.Name, c.Old, c.New)
		}
	}
}

// A flag or variable that names a secret masks any value.
func TestMaskOfAnyPassword(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[!-~]{6,30}`).Filter(func(s string) bool {
			return !strings.HasPrefix(s, "--") && !strings.Contains("[masked]--password=PASSWORD://user:@host", s)
		}).Draw(t, "secret")
		for _, argv := range [][]string{
			{"app", "--password", secret},
			{"app", "--password=" + secret},
			{"env", "PASSWORD=" + secret, "app"},
		} {
			if got := strings.Join(Mask(argv), " "); strings.Contains(got, secret) {
				t.Fatalf("%q is shown as %s", argv, got)
			}
		}
	})
}

func TestMaskOfInputs(t *testing.T) {
	in := append(Argv([]string{"mysql", "--password", "s3cret"}),
		Part{Kind: KindValue, Name: "token", Value: []byte("s3cret")}, Part{Kind: KindValue, Name: "v", Value: []byte("1")},
		Part{Kind: KindFile, Name: "d", Value: Absent()}, Part{Kind: KindTree, Name: "d"})
	got := in.Mask()
	if text := string(got.Encode()); strings.Contains(text, "s3cret") || strings.Count(text, Masked) != 2 || len(got) != 6 {
		t.Errorf("got %v", got)
	}
	if string(in[2].Value) != "s3cret" {
		t.Error("Mask changed its receiver")
	}
	if got := in.Withhold().Mask(); !got.Withheld() || len(got) != 4 {
		t.Errorf("withheld: got %v", got)
	}
}

// Masking a masked command line again does not change it.
func TestMaskIsIdempotent(t *testing.T) {
	piece := rapid.SampledFrom([]string{"password", "--", "-p", "token", "=", ":", "//", "@", "a", " ", "'", `"`, `\`, "/", ";", "&", "\n", "\xff", "curl ", "-u", "Authorization: ", "Bearer ", "pass:", "[redacted]", "{", "}", "é"})
	word := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		argv := rapid.SliceOfN(word, 0, 4).Draw(t, "argv")
		once := Mask(argv)
		if len(once) != len(argv) {
			t.Fatalf("%q is masked as %q", argv, once)
		}
		if twice := Mask(once); !slices.Equal(once, twice) {
			t.Fatalf("%q is masked as %q, and then as %q", argv, once, twice)
		}
	})
}
