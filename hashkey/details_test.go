package hashkey

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func tree(t *testing.T, name string, entries ...Entry) Part {
	t.Helper()
	p, ok := Tree(name, entries, 1<<16)
	if !ok {
		t.Fatal("the tree is too long")
	}
	return p
}

func entry(name string, kind byte, content string) Entry {
	return Entry{Name: name, Type: kind, Sum: digest(content)[1:]}
}

// A detail changes neither the fingerprint nor the result of Diff.
func TestDetailsAreOutsideOfTheFingerprint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := named().Draw(t, "in")
		detail := Part{
			Kind:  rapid.SampledFrom([]Kind{KindTree, KindProgram}).Draw(t, "kind"),
			Name:  rapid.SampledFrom([]string{"", "n"}).Draw(t, "name"),
			Value: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value"),
		}
		with := append(slices.Clone(in), detail)
		if with.Fingerprint() != in.Fingerprint() || with.Canonical().Fingerprint() != in.Canonical().Fingerprint() {
			t.Fatal("the detail changes the fingerprint")
		}
		if got := Diff(in, with); len(got) > 0 {
			t.Fatalf("the detail counts as a change: %v", got)
		}
		if d := cmp.Diff(in, with.Counted(), cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		back, err := Decode(with.Encode())
		if err != nil || !cmp.Equal(with, back, cmpopts.EquateEmpty()) {
			t.Fatalf("decoded as %v, error %v", back, err)
		}
	})
}

func TestTreeKeepsItsEntries(t *testing.T) {
	want := []Entry{entry("a", EntryFile, "x"), {Name: "sub", Type: EntryDir}, entry("sub/l", EntryLink, "a"), entry("", EntryFile, "")}
	got, ok := tree(t, "d", want...).Entries()
	for i := range want {
		want[i].Sum = want[i].Sum[:min(entrySum, len(want[i].Sum))]
	}
	if d := cmp.Diff(want, got); d != "" || !ok {
		t.Error(d)
	}
	if _, ok := Tree("d", want, 30); ok {
		t.Error("a tree above the limit is accepted")
	}
	whole := tree(t, "d", want...)
	for n := range whole.Value {
		cut := Part{Kind: KindTree, Value: whole.Value[:n]}
		if got, ok := cut.Entries(); ok && len(got) >= len(want) {
			t.Errorf("%d of %d bytes decode as %v", n, len(whole.Value), got)
		}
	}
}

func TestDiffNamesTheFilesOfADirectory(t *testing.T) {
	dir := func(sum string, entries ...Entry) Inputs {
		return Inputs{{Kind: KindFile, Name: "d", Value: digest(sum)}, tree(t, "d", entries...)}
	}
	a, b := entry("a", EntryFile, "1"), entry("b", EntryFile, "1")
	sub := Entry{Name: "sub", Type: EntryDir}
	for _, test := range []struct {
		name     string
		old, new Inputs
		want     []FileChange
	}{
		{"changed, new, gone", dir("x", a, b), dir("y", entry("a", EntryFile, "2"), entry("c", EntryFile, "1")), []FileChange{{"a", "changed"}, {"b", "gone"}, {"c", "new"}}},
		{"a link in place of a file", dir("x", a), dir("y", entry("a", EntryLink, "1")), []FileChange{{"a", "changed"}}},
		{"a new directory", dir("x", a), dir("y", a, sub, entry("sub/f", EntryFile, "1"), Entry{Name: "sub/s", Type: EntryDir}, entry("sub/s/f", EntryFile, "1")), []FileChange{{"sub", "new"}}},
		{"a directory is gone", dir("x", sub, entry("sub/f", EntryFile, "1")), dir("y"), []FileChange{{"sub", "gone"}}},
		{"a directory in place of a file", dir("x", entry("sub", EntryFile, "1")), dir("y", sub, entry("sub/f", EntryFile, "1")), []FileChange{{"sub", "changed"}, {"sub/f", "new"}}},
		{"no list before", dir("x", a)[:1], dir("y", b), nil},
		{"no list now", dir("x", a), dir("y", b)[:1], nil},
		{"a damaged list", Inputs{dir("x")[0], {Kind: KindTree, Name: "d", Value: []byte("f\xff")}}, dir("y", b), nil},
		{"the list of another directory", Inputs{dir("x")[0], tree(t, "e", a)}, dir("y", b), nil},
	} {
		got := Diff(test.old, test.new)
		if len(got) != 1 || got[0].Name != "file d" {
			t.Fatalf("%s: got %v", test.name, got)
		}
		if d := cmp.Diff(test.want, got[0].Files, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
	}
}

// A detail contains names that the user has not typed. It is left out if one of
// them must not be stored, or if the command line is withheld.
func TestHiddenDetailsAreLeftOut(t *testing.T) {
	clean, secret := tree(t, "d", entry("a", EntryFile, "1")), tree(t, "d", entry("a", EntryFile, "1"), entry("b/s3cret", EntryFile, "1"))
	for _, test := range []struct {
		name string
		p    Part
		kept bool
	}{
		{"clean", clean, true},
		{"in a name of the list", secret, false},
		{"in the name of the directory", Part{Kind: KindTree, Name: "s3cret", Value: clean.Value}, false},
		{"damaged", Part{Kind: KindTree, Name: "d", Value: []byte("f\xff")}, false},
		{"a program", Part{Kind: KindProgram, Name: "./x", Value: []byte("s3cret, by chance")}, true},
		{"a secret program", Part{Kind: KindProgram, Name: "./s3cret"}, false},
	} {
		in := append(Argv([]string{"x"}), test.p)
		if got := in.Hide(hideS3cret); (len(got) == 2) != test.kept || strings.Contains(string(got.Encode()), "s3cret") != (test.p.Name == "./x") {
			t.Errorf("%s: got %v", test.name, got)
		}
		if got := in.Withhold(); len(got) != 1 {
			t.Errorf("%s: withheld is %v", test.name, got)
		}
	}
}
