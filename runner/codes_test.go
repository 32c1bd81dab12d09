package runner

import (
	"slices"
	"testing"
)

func TestParseCodes(t *testing.T) {
	for text, want := range map[string]struct {
		codes Codes
		in    []int
		out   []int
	}{
		"0":              {Codes{{0, 0}}, []int{0}, []int{-1, 1, 255}},
		"255":            {Codes{{255, 255}}, []int{255}, []int{0, 254, 256}},
		"0,24":           {Codes{{0, 0}, {24, 24}}, []int{0, 24}, []int{1, 23, 25}},
		"100-110":        {Codes{{100, 110}}, []int{100, 105, 110}, []int{99, 111}},
		"0,24,100-110":   {Codes{{0, 0}, {24, 24}, {100, 110}}, []int{0, 24, 100, 110}, []int{10, 2}},
		"0-255":          {Codes{{0, 255}}, []int{0, 1, 255}, []int{-1, 256}},
		"7,7,6-8":        {Codes{{7, 7}, {7, 7}, {6, 8}}, []int{6, 7, 8}, []int{5, 9}},
		"110,100":        {Codes{{110, 110}, {100, 100}}, []int{100, 110}, []int{105}},
		"00001,010-0011": {Codes{{1, 1}, {10, 11}}, []int{1, 10, 11}, []int{8, 9}}, // decimal
	} {
		got, err := ParseCodes(text)
		if err != nil || !slices.Equal(got, want.codes) {
			t.Errorf("%q: got %v, error %v, want %v", text, got, err, want.codes)
			continue
		}
		for _, code := range want.in {
			if !got.Has(code) {
				t.Errorf("%q does not have %d", text, code)
			}
		}
		for _, code := range want.out {
			if got.Has(code) {
				t.Errorf("%q has %d", text, code)
			}
		}
	}
}

func TestParseCodesRefusesBadCodes(t *testing.T) {
	for _, text := range []string{
		"", " ", ",", "1,", ",1", "1,,2", "256", "1-256", "-1", "1-", "-", "2-1", "1-2-3", "+1", "1 ", " 1", "1, 2",
		"0x1", "1e2", "1_0", "a", "1;2", "1..2", "99999999999999999999", "1\n", "١", "1\x00",
	} {
		if got, err := ParseCodes(text); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestEmptyCodes(t *testing.T) {
	var none Codes
	for code := -1; code <= 256; code++ {
		if none.Has(code) {
			t.Errorf("the empty set has %d", code)
		}
	}
	if none.String() != "" {
		t.Errorf("got %q", none)
	}
}

// FuzzParseCodes checks that ranges are valid, that the set has exactly the statuses
// of its ranges, and that it survives String and ParseCodes.
func FuzzParseCodes(f *testing.F) {
	for _, text := range []string{"", "0", "0,24", "100-110", "255-255", "2-1", "1-2-3", "-1", "256", "00,1", ",", "+1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		codes, err := ParseCodes(text)
		if err != nil {
			return
		}
		if len(codes) == 0 {
			t.Fatal("an empty set was parsed without an error")
		}
		var in [256]bool
		for _, r := range codes {
			if r.First < 0 || r.First > r.Last || r.Last > 255 {
				t.Fatalf("got the range %v", r)
			}
			for code := r.First; code <= r.Last; code++ {
				in[code] = true
			}
		}
		for code, want := range in {
			if codes.Has(code) != want {
				t.Fatalf("%v, %d: got %t", codes, code, !want)
			}
		}
		again, err := ParseCodes(codes.String())
		if err != nil || !slices.Equal(codes, again) {
			t.Fatalf("%v parses as %v, error %v", codes, again, err)
		}
	})
}
