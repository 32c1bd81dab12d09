package hashkey

import (
	"bufio"
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// goldenLines returns the lines of a file of golden values. Other code made them
// once. They are never regenerated, because a changed fingerprint refuses calls
// and a changed token lets a service do its work twice.
func goldenLines(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines [][]string
	s := bufio.NewScanner(f)
	for s.Scan() {
		lines = append(lines, goldenFields(t, s.Text()))
	}
	if s.Err() != nil || len(lines) == 0 {
		t.Fatal(name, "has no lines:", s.Err())
	}
	return lines
}

// goldenFields splits a line into a word and fields. A field is a word, a Go
// string, or x20000 for 20000 times the letter x.
func goldenFields(t *testing.T, line string) []string {
	word, rest, _ := strings.Cut(line, " ")
	fields := []string{word}
	for rest != "" {
		if q, err := strconv.QuotedPrefix(rest); err == nil {
			s, _ := strconv.Unquote(q)
			fields, rest = append(fields, s), strings.TrimPrefix(rest[len(q):], " ")
			continue
		}
		word, rest, _ = strings.Cut(rest, " ")
		if n, ok := strings.CutPrefix(word, "x"); ok {
			count, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(line, err)
			}
			word = strings.Repeat("x", count)
		}
		fields = append(fields, word)
	}
	return fields
}

func TestFingerprintsAreStable(t *testing.T) {
	for _, g := range goldenLines(t, "fingerprints.golden") {
		if got := Argv(g[1:]).Fingerprint(); got != g[0] {
			t.Errorf("%.80q: got %s, want %s", g[1:], got, g[0])
		}
	}
}

func TestGoldenFingerprintsDiffer(t *testing.T) {
	seen := map[string][]string{}
	for _, g := range goldenLines(t, "fingerprints.golden") {
		if other, ok := seen[g[0]]; ok {
			t.Errorf("%.80q and %.80q have the fingerprint %s", g[1:], other, g[0])
		}
		seen[g[0]] = g[1:]
	}
}

// An encoding with separators, or one that converts bytes to text, would confuse
// these pairs.
func TestFingerprintsOfLookalikesDiffer(t *testing.T) {
	for _, pair := range [][2][]string{
		{{"a b"}, {"a", "b"}},
		{{"a\xff"}, {"a\xfe"}},
		{{"a\xff"}, {"a\ufffd"}},
		{{}, {""}},
		{{"a"}, {"a", ""}},
		{{"", "a"}, {"a", ""}},
		{{"a\x00b"}, {"a", "b"}},
		{{"a\nb"}, {"a", "b"}},
		{{"é"}, {"e\u0301"}},
		{{"ab", "c"}, {"a", "bc"}},
		{{"\x03arg\x00\x01a"}, {"a"}},
		{{"1"}, {"01"}},
		{{"--a=b"}, {"--a", "b"}},
	} {
		if Argv(pair[0]).Fingerprint() == Argv(pair[1]).Fingerprint() {
			t.Errorf("%q and %q have one fingerprint", pair[0], pair[1])
		}
	}
	a, b := Inputs{{Kind: "x", Name: "ab"}}, Inputs{{Kind: "x", Name: "a", Value: []byte("b")}}
	if a.Fingerprint() == b.Fingerprint() {
		t.Error("the boundary between name and value does not count")
	}
}

func TestFingerprintsOfRandomPairsDiffer(t *testing.T) {
	random := rand.New(rand.NewPCG(2026, 33))
	argv := func() []string {
		argv := make([]string, 1+random.IntN(4))
		for i := range argv {
			b := make([]byte, random.IntN(6))
			for j := range b {
				b[j] = byte(1 + random.IntN(255))
			}
			argv[i] = string(b)
		}
		return argv
	}
	for range 2000 {
		a, b := argv(), argv()
		if !slices.Equal(a, b) && Argv(a).Fingerprint() == Argv(b).Fingerprint() {
			t.Fatalf("%q and %q have one fingerprint", a, b)
		}
	}
}

var kinds = []Kind{KindArg, KindEnv, KindFile, KindStdin, KindCwd, KindValue}

func anyInputs() *rapid.Generator[Inputs] {
	return rapid.Custom(func(t *rapid.T) Inputs {
		// Short texts of few different bytes make it likely that two lists of parts
		// have equal concatenations.
		text := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 2, 3, 'a', 0x80, 0xff}), 0, 4)
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Part {
			kind := rapid.SampledFrom(append([]Kind{"", "a"}, kinds...)).Draw(t, "kind")
			return Part{Kind: kind, Name: string(text.Draw(t, "name")), Value: text.Draw(t, "value"), Hidden: rapid.Bool().Draw(t, "hidden")}
		}), 0, 4).Draw(t, "inputs")
	})
}

func TestDecodeInvertsEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInputs().Draw(t, "in")
		got, err := Decode(in.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(in, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDifferentInputsNeverEncodeAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyInputs().Draw(t, "a"), anyInputs().Draw(t, "b")
		same := cmp.Equal(a, b, cmpopts.EquateEmpty())
		if bytes.Equal(a.Encode(), b.Encode()) != same || (a.Fingerprint() == b.Fingerprint()) != same {
			t.Fatal("encoding and inputs disagree on whether they are equal")
		}
		// No encoding is a prefix of another, unless its inputs are too.
		if bytes.HasPrefix(b.Encode(), a.Encode()) && !(len(a) <= len(b) && cmp.Equal(a, b[:len(a)], cmpopts.EquateEmpty())) {
			t.Fatal("an encoding begins with that of other inputs")
		}
	})
}

func TestDecodeRefusesOtherBytes(t *testing.T) {
	good := Argv([]string{"./deploy", "prod"}).Encode()
	for _, b := range [][]byte{
		nil,
		{},
		[]byte("idem1"), []byte("idem2\x00"), []byte("./deploy\x00prod"),
		append(slices.Clone(good), 0),
		append(slices.Clone(good), 0, 0),
		append(slices.Clone(good), 0xff),
		append(slices.Clone(good), bytes.Repeat([]byte{0xff}, 20)...), // a length that does not end
		append([]byte(version), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
		append([]byte(version), 0x83, 0x00, 'a', 'r', 'g', 0, 0), // the length 3 in two bytes
	} {
		if in, err := Decode(b); err == nil {
			t.Errorf("%q: got %v", b, in)
		}
	}
	for n := range good {
		if in, err := Decode(good[:n]); err == nil && len(in) == 2 {
			t.Errorf("the first %d bytes of an encoding decode as all of it", n)
		}
	}
}

func TestDiff(t *testing.T) {
	b := func(s string) []byte { return []byte(s) }
	for _, test := range []struct {
		name     string
		old, new []string
		want     []Change
	}{
		{"nothing", []string{"a", "b"}, []string{"a", "b"}, nil},
		{"nothing of nothing", nil, nil, nil},
		{"the command", []string{"a", "x"}, []string{"b", "x"}, []Change{{KindArg, "command", b("a"), b("b"), false, false, nil}}},
		{"one argument", []string{"a", "x", "y"}, []string{"a", "x", "z"}, []Change{{KindArg, "argument 2", b("y"), b("z"), false, false, nil}}},
		{"added", []string{"a"}, []string{"a", "x"}, []Change{{KindArg, "argument 1", nil, b("x"), false, false, nil}}},
		{"added, empty", []string{"a"}, []string{"a", ""}, []Change{{KindArg, "argument 1", nil, b(""), false, false, nil}}},
		{"removed", []string{"a", "x"}, []string{"a"}, []Change{{KindArg, "argument 1", b("x"), nil, false, false, nil}}},
		{"removed, empty", []string{"a", ""}, []string{"a"}, []Change{{KindArg, "argument 1", b(""), nil, false, false, nil}}},
		{"emptied", []string{"a", "x"}, []string{"a", ""}, []Change{{KindArg, "argument 1", b("x"), b(""), false, false, nil}}},
		{"bytes", []string{"a\xff"}, []string{"a\xfe"}, []Change{{KindArg, "command", b("a\xff"), b("a\xfe"), false, false, nil}}},
		{
			"split",
			[]string{"c", "a b"},
			[]string{"c", "a", "b"},
			[]Change{{KindArg, "argument 1", b("a b"), b("a"), false, false, nil}, {KindArg, "argument 2", nil, b("b"), false, false, nil}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Diff(Argv(test.old), Argv(test.new))
			if d := cmp.Diff(test.want, got); d != "" { // nil and an empty value differ here
				t.Error(d)
			}
		})
	}
}

func TestDiffIsEmptyExactlyForEqualArguments(t *testing.T) {
	argv := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b"}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		a, b := argv.Draw(t, "a"), argv.Draw(t, "b")
		changes := Diff(Argv(a), Argv(b))
		if (len(changes) == 0) != slices.Equal(a, b) {
			t.Fatalf("got %v", changes)
		}
	})
}

func TestArgvReturnsTheCommandLine(t *testing.T) {
	in := append(Inputs{{Kind: "env", Name: "HOME", Value: []byte("/")}}, Argv([]string{"a", "", "b\xff"})...)
	if got := in.Argv(); !slices.Equal(got, []string{"a", "", "b\xff"}) {
		t.Errorf("got %q", got)
	}
}

// FuzzDecode checks that Decode never panics and accepts only encodings that
// Encode writes.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte(version))
	f.Add(Argv([]string{"./deploy", "", "a\xff"}).Encode())
	f.Add(Inputs{{Kind: "env", Name: "HOME"}}.Encode())
	f.Add(append([]byte(version), 0x83, 0x00, 'a', 'r', 'g', 0, 0))
	f.Add(append([]byte(version), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := Decode(b)
		if err != nil {
			return
		}
		if again := in.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%q decodes as %v, which encodes as %q", b, in, again)
		}
	})
}
