package hashkey

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

func TestTokensAreStable(t *testing.T) {
	for _, g := range goldenLines(t, "tokens.golden") {
		generation, err := strconv.ParseInt(g[4], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := Token(g[1], g[2], g[3], generation).String(); got != g[0] {
			t.Errorf("%.80q: got %s, want %s", g[1:], got, g[0])
		}
	}
}

func TestTokenIsAVersion8UUID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String()
		u := Token(s.Draw(t, "namespace"), s.Draw(t, "key"), s.Draw(t, "window"), rapid.Int64Min(1).Draw(t, "generation"))
		if u.Version() != 8 || u.Variant() != uuid.RFC4122 || len(u.String()) != 36 || u.String() != strings.ToLower(u.String()) {
			t.Fatalf("got %s: version %d, variant %s", u, u.Version(), u.Variant())
		}
	})
}

// TestTokenChangesWithEachOfItsInputs checks that the token depends on each input
// and on nothing else.
func TestTokenChangesWithEachOfItsInputs(t *testing.T) {
	type input struct {
		namespace, key, window string
		generation             int64
	}
	seen := map[uuid.UUID]input{}
	for _, in := range []input{
		{"default", "a", "", 1},
		{"prod", "a", "", 1},
		{"default", "b", "", 1},
		{"default", "a", "2026-11-22", 1},
		{"default", "a", "", 2},
		{"defaulta", "", "", 1},
		{"default", "", "a", 1},
		{"", "default", "a", 1},
		{"default", "a", "", 128},
		{"default", "a", "", 1 << 40},
		{"default", "a/step", "", 1},
		{"default", "a", "/step", 1},
	} {
		token := Token(in.namespace, in.key, in.window, in.generation)
		if other, ok := seen[token]; ok {
			t.Errorf("%+v and %+v have the token %s", in, other, token)
		}
		seen[token] = in
		if again := Token(in.namespace, in.key, in.window, in.generation); again != token {
			t.Errorf("%+v: got %s, then %s", in, token, again)
		}
	}
}

func TestTokenFitsTheLimitsOfPaymentAPIs(t *testing.T) {
	token := Token("default", strings.Repeat("k", MaxKey), "2026-11-22", 1).String()
	for _, api := range []struct {
		name  string
		limit int
		hex   bool // requires the form without dashes
	}{
		{"Stripe", 255, false},
		{"Adyen", 64, false},
		{"Square", 45, false},
		{"Worldline", 40, false},
		{"Helcim", 36, false},
		{"Amazon Pay", 32, true},
	} {
		form := token
		if api.hex {
			form = strings.ReplaceAll(token, "-", "")
		}
		if len(form) > api.limit || strings.Trim(form, "0123456789abcdef-") != "" {
			t.Errorf("%s accepts %d characters, the token is %q", api.name, api.limit, form)
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	in := Argv([]string{"./deploy.sh", "prod", "--sha", "4f2c1e", strings.Repeat("x", 1000)})
	for b.Loop() {
		in.Fingerprint()
	}
}
