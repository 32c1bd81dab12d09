package hashkey

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return Present(sum[:])
}

// goldenParts parses the fields of a line: kind, name and value of each input. A
// value is absent, present:TEXT (the digest of TEXT) or =TEXT.
func goldenParts(t *testing.T, fields []string) Inputs {
	t.Helper()
	if len(fields)%3 != 0 {
		t.Fatalf("%q are not inputs", fields)
	}
	in := Inputs{}
	for f := range slices.Chunk(fields, 3) {
		p := Part{Kind: Kind(f[0]), Name: f[1], Value: []byte(f[2][min(1, len(f[2])):])}
		switch text, present := bytes.CutPrefix([]byte(f[2]), []byte("present:")); {
		case f[2] == "absent":
			p.Value = Absent()
		case present:
			p.Value = digest(string(text))
		}
		in = append(in, p)
	}
	return in
}

func TestFingerprintsOfEveryKindAreStable(t *testing.T) {
	seen, used := map[string]bool{}, map[Kind]bool{}
	for _, g := range goldenLines(t, "kinds.golden") {
		in := goldenParts(t, g[1:])
		if got := in.Fingerprint(); got != g[0] {
			t.Errorf("%.120q: got %s, want %s", g[1:], got, g[0])
		}
		if seen[g[0]] {
			t.Errorf("%.120q has the fingerprint of another line", g[1:])
		}
		seen[g[0]] = true
		for _, p := range in {
			used[p.Kind] = true
		}
	}
	for _, k := range kinds {
		if !used[k] {
			t.Errorf("no golden value has an input of kind %s", k)
		}
	}
}

func TestUnsetEmptyAndNotListedAreThreeThings(t *testing.T) {
	argv := Argv([]string{"./deploy"})
	with := func(v []byte) Inputs { return append(slices.Clone(argv), Part{Kind: KindEnv, Name: "STAGE", Value: v}) }
	ways := map[string]Inputs{
		"not listed": argv, "unset": with(Absent()), "empty": with(digest("")), "set": with(digest("prod")),
	}
	for a, in := range ways {
		for b, other := range ways {
			if (in.Fingerprint() == other.Fingerprint()) != (a == b) {
				t.Errorf("%s and %s: got %s and %s", a, b, in.Fingerprint(), other.Fingerprint())
			}
			if changes := Diff(in, other); (len(changes) == 0) != (a == b) {
				t.Errorf("from %s to %s: got %v", a, b, changes)
			}
		}
	}
}

func TestAbsentIsNotADigest(t *testing.T) {
	for _, d := range [][]byte{nil, {}, {0}, {1}, make([]byte, 32)} {
		if bytes.Equal(Present(d), Absent()) {
			t.Errorf("Present(%x) equals Absent()", d)
		}
	}
	if a, b := Present([]byte("a")), Present([]byte("b")); bytes.Equal(a, b) {
		t.Error("the values of two digests are equal")
	}
}

// Inputs with equal values differ if their kinds or names differ.
func TestKindsAndNamesCount(t *testing.T) {
	seen := map[string]Part{}
	for _, kind := range kinds {
		for _, name := range []string{"", "a", "b", "ab", "env"} {
			p := Part{Kind: kind, Name: name, Value: []byte("v")}
			f := Inputs{p}.Fingerprint()
			if other, ok := seen[f]; ok {
				t.Errorf("%v and %v have one fingerprint", p, other)
			}
			seen[f] = p
		}
	}
}

func TestDiffOfEveryKind(t *testing.T) {
	v, w := digest("v"), digest("w")
	part := func(k Kind, name string, value []byte) Part { return Part{Kind: k, Name: name, Value: value} }
	for _, test := range []struct {
		name     string
		old, new Inputs
		want     []Change
	}{
		{"nothing", Inputs{part(KindEnv, "A", v), part(KindCwd, "", v)}, Inputs{part(KindEnv, "A", v), part(KindCwd, "", v)}, nil},
		{"env changed", Inputs{part(KindEnv, "A", v)}, Inputs{part(KindEnv, "A", w)}, []Change{{KindEnv, "environment variable A", v, w, false, false, nil}}},
		{"env unset", Inputs{part(KindEnv, "A", v)}, Inputs{part(KindEnv, "A", Absent())}, []Change{{KindEnv, "environment variable A", v, Absent(), false, false, nil}}},
		{"env listed", nil, Inputs{part(KindEnv, "A", Absent())}, []Change{{KindEnv, "environment variable A", nil, Absent(), false, false, nil}}},
		{"env no longer listed", Inputs{part(KindEnv, "A", Absent())}, nil, []Change{{KindEnv, "environment variable A", Absent(), nil, false, false, nil}}},
		{"another env", Inputs{part(KindEnv, "A", v)}, Inputs{part(KindEnv, "B", v)}, []Change{
			{KindEnv, "environment variable B", nil, v, false, false, nil},
			{KindEnv, "environment variable A", v, nil, false, false, nil},
		}},
		{"file", Inputs{part(KindFile, "a/b", v)}, Inputs{part(KindFile, "a/b", Absent())}, []Change{{KindFile, "file a/b", v, Absent(), false, false, nil}}},
		{"stdin", Inputs{part(KindStdin, "", v)}, Inputs{part(KindStdin, "", w)}, []Change{{KindStdin, "stdin", v, w, false, false, nil}}},
		{"cwd", Inputs{part(KindCwd, "", []byte("/a"))}, Inputs{part(KindCwd, "", []byte("/b"))}, []Change{{KindCwd, "working directory", []byte("/a"), []byte("/b"), false, false, nil}}},
		{"value", Inputs{part(KindValue, "n", []byte(""))}, Inputs{part(KindValue, "n", []byte("x"))}, []Change{{KindValue, "value n", []byte(""), []byte("x"), false, false, nil}}},
		{"kinds do not mix", Inputs{part(KindEnv, "n", v)}, Inputs{part(KindFile, "n", v)}, []Change{
			{KindFile, "file n", nil, v, false, false, nil},
			{KindEnv, "environment variable n", v, nil, false, false, nil},
		}},
		{"arguments come first", Inputs{part(KindStdin, "", v), part(KindArg, "", []byte("a"))}, Inputs{part(KindStdin, "", w), part(KindArg, "", []byte("b"))}, []Change{
			{KindArg, "command", []byte("a"), []byte("b"), false, false, nil},
			{KindStdin, "stdin", v, w, false, false, nil},
		}},
		{
			"in the order of the new, then what is gone in that of the old",
			Inputs{part(KindEnv, "X", v), part(KindEnv, "A", v), part(KindFile, "Y", v), part(KindEnv, "B", v)},
			Inputs{part(KindEnv, "B", w), part(KindEnv, "C", v), part(KindEnv, "A", w)},
			[]Change{
				{KindEnv, "environment variable B", v, w, false, false, nil},
				{KindEnv, "environment variable C", nil, v, false, false, nil},
				{KindEnv, "environment variable A", v, w, false, false, nil},
				{KindEnv, "environment variable X", v, nil, false, false, nil},
				{KindFile, "file Y", v, nil, false, false, nil},
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if d := cmp.Diff(test.want, Diff(test.old, test.new)); d != "" { // nil and an empty value differ here
				t.Error(d)
			}
		})
	}
}

// named generates inputs in which each kind and name occurs at most once, as in a
// call.
func named() *rapid.Generator[Inputs] {
	return rapid.Custom(func(t *rapid.T) Inputs {
		in := Argv(rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b"}), 0, 2).Draw(t, "argv"))
		for _, kind := range kinds[1:] {
			for _, name := range []string{"", "n"} {
				if rapid.Bool().Draw(t, "listed") {
					in = append(in, Part{Kind: kind, Name: name, Value: rapid.SampledFrom([][]byte{Absent(), digest(""), digest("x")}).Draw(t, "value")})
				}
			}
		}
		return in
	})
}

// Diff is empty exactly if the fingerprints are equal.
func TestDiffIsEmptyExactlyForEqualFingerprints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := named().Draw(t, "a"), named().Draw(t, "b")
		if rapid.Bool().Draw(t, "equal") {
			b = slices.Clone(a)
		}
		changes := Diff(a, b)
		if (len(changes) == 0) != (a.Fingerprint() == b.Fingerprint()) {
			t.Fatalf("got %v", changes)
		}
		for _, c := range changes {
			if c.Kind == "" || c.Name == "" || c.Old == nil && c.New == nil || c.Old != nil && c.New != nil && bytes.Equal(c.Old, c.New) {
				t.Fatalf("got the change %+v", c)
			}
		}
		if back := Diff(b, a); len(back) != len(changes) {
			t.Fatalf("got %v forward and %v backward", changes, back)
		}
	})
}

// Diff accepts two values of one name, and the same input twice.
func TestDiffOfInputsOfOneName(t *testing.T) {
	v := func(s string) Part { return Part{Kind: KindValue, Name: "n", Value: []byte(s)} }
	for _, test := range []struct {
		name     string
		old, new Inputs
		want     []Change
	}{
		{"the same", Inputs{v("1"), v("2")}, Inputs{v("1"), v("2")}, nil},
		{"twice the same", Inputs{v("1"), v("1")}, Inputs{v("1"), v("1")}, nil},
		{"one of two", Inputs{v("1"), v("2")}, Inputs{v("1"), v("3")}, []Change{{KindValue, "value n", []byte("2"), []byte("3"), false, false, nil}}},
		{"one more", Inputs{v("1")}, Inputs{v("1"), v("1")}, []Change{{KindValue, "value n", nil, []byte("1"), false, false, nil}}},
		{"one less", Inputs{v("2"), v("1")}, Inputs{v("1")}, []Change{{KindValue, "value n", []byte("2"), nil, false, false, nil}}},
	} {
		if d := cmp.Diff(test.want, Diff(test.old, test.new)); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
	}
}

// Neither the order of flags nor a repeated flag makes a difference.
func TestCanonicalInputsHaveOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := named().Draw(t, "in")
		argv := in.Argv()
		shuffled := slices.Clone(in)
		others := shuffled[len(argv):]
		for i := len(others) - 1; i > 0; i-- {
			j := rapid.IntRange(0, i).Draw(t, "j")
			others[i], others[j] = others[j], others[i]
		}
		if len(others) > 0 {
			shuffled = append(shuffled, others[0])
		}
		a, b := in.Canonical(), shuffled.Canonical()
		if a.Fingerprint() != b.Fingerprint() || len(Diff(a, b)) > 0 || len(a) != len(in) || !slices.Equal(b.Argv(), argv) {
			t.Fatalf("got %v and %v", a, b)
		}
		if Argv(argv).Fingerprint() != Argv(argv).Canonical().Fingerprint() {
			t.Fatal("arguments alone have another fingerprint")
		}
	})
}
