package cmd

import (
	"strings"
	"testing"
)

// TestPublicURL checks that no part of a password is left, also in URLs that are not valid,
// and that URLs without one stay as they are.
func TestPublicURL(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://u:p@h/d": "postgres://u@h/d",
		"postgresql://u:p@h:5432,i:5433/d?sslmode=require": "postgresql://u@h:5432,i:5433/d?sslmode=require",
		"postgres://:p@/d":                                    "postgres://@/d",
		"postgres://u:p@q@h/d":                                "postgres://u@h/d",
		"postgres://u:p:q@h/d":                                "postgres://u@h/d",
		"postgres://u:pa/ss@h/d":                              "postgres://u@h/d",
		"postgres://u:pa?ss@h/d":                              "postgres://u@h/d",
		"postgres://u:pa#ss@h/d":                              "postgres://u@h/d",
		"postgres://u:@h/d":                                   "postgres://u@h/d",
		"postgres://u@h/d?password=p":                         "postgres://u@h/d",
		"postgres://u@h/d?a=b&PassWord=p&c=d":                 "postgres://u@h/d?a=b&c=d",
		"postgres://u@h/d?p%61ssword=p":                       "postgres://u@h/d",
		"postgres://u@h/d?sslpassword=p&sslkey=k":             "postgres://u@h/d?sslkey=k",
		"postgres://u@h/d":                                    "postgres://u@h/d",
		"postgres://h:5432/d?user=a@b":                        "postgres://h:5432/d?user=a@b",
		"postgres://u@[::1]:5432/d":                           "postgres://u@[::1]:5432/d",
		"postgres://[::1]/d?user=a@b":                         "postgres://[::1]/d?user=a@b",
		"postgres:///?service=ops&passfile=/etc/idem/pgpass":  "postgres:///?service=ops&passfile=/etc/idem/pgpass",
		"postgres://h":                                        "postgres://h",
		"postgres://":                                         "postgres://",
		"/var/lib/postgres://u:p@h":                           "/var/lib/postgres://u:p@h",
		"postgres://u@h/d?application_name=x&channel_binding": "postgres://u@h/d?application_name=x&channel_binding",
	} {
		if got := publicURL(url); got != want {
			t.Errorf("publicURL(%q) = %q, want %q", url, got, want)
		}
	}
}

// FuzzPublicURL checks that a second call changes nothing, so a URL without a password is
// recognized by being equal.
func FuzzPublicURL(f *testing.F) {
	f.Add("u:p@h/d?password=x&a=b")
	f.Add("u:pa/ss@h:1,i/d")
	f.Fuzz(func(t *testing.T, rest string) {
		once := publicURL("postgres://" + rest)
		if twice := publicURL(once); twice != once {
			t.Errorf("publicURL(%q) = %q, then %q, want no change", rest, once, twice)
		}
	})
}

// TestAsksShared checks which words make a call one for the sibling.
func TestAsksShared(t *testing.T) {
	for line, want := range map[string]bool{
		"run --ledger postgres://h -- true":            true,
		"run --key k --ledger=postgresql://h -- true":  true,
		"--ledger postgres://h list":                   true,
		"ledger check postgres://h":                    true,
		"--connect-timeout 5 ledger init postgres://h": true,
		"run --ledger dir -- true":                     false,
		"run --key k -- psql postgres://h":             false,
		"run --key k psql postgres://h":                false,
		"run --key k -- idem --ledger postgres://h":    false,
		"run --key postgres://h -- true":               false,
		"run --ledger postgres:/h -- true":             false,
		"":                                             false,
	} {
		if got := asksShared(strings.Fields(line), "/dir"); got != want {
			t.Errorf("idem %s: got %t, want %t", line, got, want)
		}
	}
	if !asksShared(nil, "postgres://h") {
		t.Error("IDEM_LEDGER=postgres://h: got false, want true")
	}
}

// TestSharedPlace checks which URL a call uses, whose IDEM_LEDGER may have the password.
func TestSharedPlace(t *testing.T) {
	for _, c := range []struct{ flag, env, want string }{
		{"postgres://u@h/d", "", "postgres://u@h/d"},
		{"postgres://u@h/d", "postgres://u:p@h/d", "postgres://u:p@h/d"},
		{"postgres://u@h/d", "postgres://u:p@h/e", "postgres://u@h/d"},
		{"", "postgres://u:p@h/d", "postgres://u:p@h/d"},
		{"/dir", "postgres://u:p@h/d", "/dir"},
		{"postgres://u@h/d", "/dir", "postgres://u@h/d"},
	} {
		getenv := func(name string) string {
			if name == "IDEM_LEDGER" {
				return c.env
			}
			return ""
		}
		if got, err := placeOf(c.flag, getenv); err != nil || got != c.want {
			t.Errorf("--ledger %q with IDEM_LEDGER=%q: got %q, %v, want %q", c.flag, c.env, got, err, c.want)
		}
	}
}
