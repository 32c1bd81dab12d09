package hashkey

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func hideS3cret(b []byte) []byte { return bytes.ReplaceAll(b, []byte("s3cret"), []byte("***")) }

func TestHide(t *testing.T) {
	digested := Present([]byte("a digest that happens to read s3cret"))
	in := append(Argv([]string{"curl", "-u", "me:s3cret", ""}),
		Part{Kind: KindCwd, Value: []byte("/s3cret")},
		Part{Kind: KindEnv, Name: "TOKEN", Value: digested},
		Part{Kind: KindFile, Name: "/s3cret/f", Value: digested},
		Part{Kind: KindValue, Name: "v", Value: []byte("s3cret")},
		Part{Kind: KindValue, Name: "old", Value: []byte("***"), Hidden: true})
	before := in.Fingerprint()
	want := append(Argv([]string{"curl", "-u", "me:***", ""}),
		Part{Kind: KindCwd, Value: []byte("/***"), Hidden: true},
		Part{Kind: KindEnv, Name: "TOKEN", Value: digested},
		Part{Kind: KindFile, Name: "/***/f", Value: digested, Hidden: true},
		Part{Kind: KindValue, Name: "v", Value: []byte("***"), Hidden: true},
		Part{Kind: KindValue, Name: "old", Value: []byte("***"), Hidden: true})
	want[2].Hidden = true
	if d := cmp.Diff(want, in.Hide(hideS3cret)); d != "" {
		t.Error(d)
	}
	if in.Fingerprint() != before {
		t.Error("Hide changed its receiver")
	}
}

func TestWithhold(t *testing.T) {
	in := append(Argv([]string{"curl", "s3cret"}),
		Part{Kind: KindEnv, Name: "TOKEN", Value: Absent()}, Part{Kind: KindValue, Name: "v", Value: []byte("s3cret")})
	got := in.Withhold()
	if d := cmp.Diff(Inputs{
		{Kind: KindArg, Hidden: true},
		{Kind: KindEnv, Name: "TOKEN", Value: Absent()},
		{Kind: KindValue, Name: "v", Hidden: true},
	}, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(got, got.Withhold()); d != "" {
		t.Error("a second Withhold changes the inputs:", d)
	}
	if !got.Withheld() || in.Withheld() || got.Argv() != nil {
		t.Errorf("withheld is %t, the command line %q", got.Withheld(), got.Argv())
	}
	// The inputs have no command line here.
	if in[2:].Withhold().Withheld() {
		t.Error("Withheld reports true for inputs without a command line")
	}
}

// TestDiffOfHidden checks that two inputs that are equal after Hide count as a
// change, because they may differ, and that Diff shows nothing withheld.
func TestDiffOfHidden(t *testing.T) {
	argv := func(a ...string) Inputs { return Argv(a) }
	hidden := func(a ...string) Inputs { return Argv(a).Hide(hideS3cret) }
	value := func(s string) Inputs { return Inputs{{Kind: KindValue, Name: "v", Value: []byte(s)}} }
	stars := []byte("***")
	for _, test := range []struct {
		name     string
		old, new Inputs
		want     []Change
	}{
		{"both", hidden("c", "s3cret", "x"), hidden("c", "s3cret", "x"), []Change{{KindArg, "argument 1", stars, stars, true, false, nil}}},
		{"one", argv("c", "***"), hidden("c", "s3cret"), []Change{{KindArg, "argument 1", stars, stars, true, false, nil}}},
		{"and something that is seen", hidden("c", "s3cret", "x"), hidden("c", "s3cret", "y"), []Change{
			{KindArg, "argument 1", stars, stars, true, false, nil}, {KindArg, "argument 2", []byte("x"), []byte("y"), false, false, nil},
		}},
		{"seen beside what is hidden", hidden("c", "a s3cret"), hidden("c", "b s3cret"), []Change{{KindArg, "argument 1", []byte("a ***"), []byte("b ***"), false, false, nil}}},
		{"no more", hidden("c", "s3cret"), argv("c", "x"), []Change{{KindArg, "argument 1", stars, []byte("x"), false, false, nil}}},
		{"withheld", argv("c", "s3cret").Withhold(), argv("c", "x").Withhold(), []Change{{KindArg, "command line", nil, nil, true, false, nil}}},
		{"withheld before", argv("c", "x").Withhold(), argv("c", "s3cret"), []Change{{KindArg, "command line", nil, nil, true, false, nil}}},
		{"withheld now", argv("c", "s3cret"), argv("c", "x").Withhold(), []Change{{KindArg, "command line", nil, nil, true, false, nil}}},
		{"withheld before, none now", argv("c").Withhold(), nil, []Change{{KindArg, "command line", nil, nil, true, false, nil}}},
		{"a value", value("s3cret").Hide(hideS3cret), value("s3cret").Hide(hideS3cret), []Change{{KindValue, "value v", stars, stars, true, false, nil}}},
		{"a value withheld", value("s3cret").Withhold(), value("x"), []Change{{KindValue, "value v", nil, nil, true, false, nil}}},
	} {
		got := Diff(test.old, test.new)
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
		for _, c := range got {
			if strings.Contains(string(c.Old)+string(c.New)+c.Name, "s3cret") {
				t.Errorf("%s: got %v, want no s3cret in it", test.name, c)
			}
		}
	}
}
