package hashkey

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// partsOf makes inputs from the bytes of a fuzzer. Each input is one byte for kind
// and Hidden, the length of its name, the length of its value, then both.
func partsOf(b []byte) Inputs {
	in := Inputs{}
	for len(b) >= 3 {
		p := Part{Kind: kinds[int(b[0]&0x7f)%len(kinds)], Hidden: b[0]&0x80 != 0}
		name := min(int(b[1]), len(b)-3)
		value := min(int(b[2]), len(b)-3-name)
		b = b[3:]
		p.Name, p.Value, b = string(b[:name]), b[name:name+value], b[name+value:]
		in = append(in, p)
	}
	return in
}

// FuzzEncode checks that inputs survive Encode and Decode, that different inputs
// have different encodings, and that no encoding is a prefix of an unrelated one.
func FuzzEncode(f *testing.F) {
	for _, pair := range [][2]string{
		{"", "\x00\x00\x00"},
		{"\x00\x00\x03a b", "\x00\x00\x01a\x00\x00\x01b"},
		{"\x01\x02\x00ab", "\x01\x01\x01ab"},
		{"\x85\x01\x00v", "\x05\x01\x00v"},
		{"\x00\x00\x02a\xff", "\x00\x00\x02a\xfe"},
		{"\x00\x00\xff" + strings.Repeat("x", 255), "\x00\x00\x7f" + strings.Repeat("x", 127)},
	} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, one, other []byte) {
		a, b := partsOf(one), partsOf(other)
		for _, in := range []Inputs{a, b, a.Canonical(), a.Withhold()} {
			got, err := Decode(in.Encode())
			if err != nil || !cmp.Equal(in, got, cmpopts.EquateEmpty()) {
				t.Fatalf("%v decodes as %v, error %v", in, got, err)
			}
		}
		same := cmp.Equal(a, b, cmpopts.EquateEmpty())
		if bytes.Equal(a.Encode(), b.Encode()) != same || (a.Fingerprint() == b.Fingerprint()) != same {
			t.Fatalf("%v and %v: encodings and inputs disagree on whether they are equal", a, b)
		}
		if bytes.HasPrefix(b.Encode(), a.Encode()) && !(len(a) <= len(b) && cmp.Equal(a, b[:len(a)], cmpopts.EquateEmpty())) {
			t.Fatalf("the encoding of %v begins with that of %v", b, a)
		}
	})
}

// FuzzCanonical checks three things:
//   - Canonical does not change a canonical form.
//   - Neither order nor repetition of inputs other than arguments changes it.
//   - Diff is empty exactly if two canonical forms are equal.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte("\x00\x00\x01a\x01\x01\x00A\x01\x01\x00A"), []byte("\x01\x01\x00A\x00\x00\x01a"))
	f.Add([]byte("\x05\x01\x01v1\x05\x01\x01v2"), []byte("\x05\x01\x01v2\x05\x01\x01v1"))
	f.Add([]byte("\x00\x00\x00"), []byte(""))
	f.Add([]byte("\x03\x00\x00\x03\x00\x01x"), []byte("\x03\x00\x01x"))
	f.Fuzz(func(t *testing.T, one, other []byte) {
		a, b := partsOf(one), partsOf(other)
		for _, in := range []Inputs{a, b} {
			for i := range in {
				in[i].Hidden = false // hidden parts are neither fingerprinted nor compared
			}
		}
		ca, cb := a.Canonical(), b.Canonical()
		if !cmp.Equal(ca, ca.Canonical(), cmpopts.EquateEmpty()) || !slices.Equal(a.Argv(), ca.Argv()) {
			t.Fatalf("%v has the canonical form %v", a, ca)
		}
		mixed := append(slices.Clone(a), a...)
		slices.Reverse(mixed[len(a):])
		mixed = slices.DeleteFunc(mixed, func(p Part) bool { return p.Kind == KindArg })
		if !cmp.Equal(append(Argv(a.Argv()), mixed...).Canonical(), ca, cmpopts.EquateEmpty()) {
			t.Fatalf("%v: order or repetition changes the canonical form", a)
		}
		if same := cmp.Equal(ca, cb, cmpopts.EquateEmpty()); same != (len(Diff(ca, cb)) == 0) {
			t.Fatalf("%v and %v: equal is %t, the difference %v", ca, cb, same, Diff(ca, cb))
		}
	})
}

// FuzzHide checks three things:
//   - Hide removes every secret, whatever surrounds it, and changes nothing else.
//   - Every part that it changes has Hidden set.
//   - Withhold does not even leave the length of the command line.
func FuzzHide(f *testing.F) {
	f.Add([]byte("\x00\x00\x04curl\x00\x00\x09me:s3cret\x01\x06\x01s3cretd\x05\x01\x06vs3cret\x04\x00\x07/s3cret"))
	f.Add([]byte("\x00\x00\x00\x05\x06\x00s3cret\x85\x01\x00v"))
	f.Add([]byte("\x00\x00\x12s3cs3cretrets3cret"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := partsOf(b)
		before, stored := in.Encode(), in.Hide(hideS3cret)
		if !bytes.Equal(in.Encode(), before) || len(stored) != len(in) {
			t.Fatalf("%v is stored as %v", in, stored)
		}
		for i, p := range stored {
			digest := p.Kind != KindArg && p.Kind != KindValue && p.Kind != KindCwd
			if strings.Contains(p.Name, "s3cret") || !digest && bytes.Contains(p.Value, []byte("s3cret")) {
				t.Fatalf("%v is stored as %v", in[i], p)
			}
			same := p.Kind == in[i].Kind && p.Name == in[i].Name && bytes.Equal(p.Value, in[i].Value)
			if p.Hidden != (in[i].Hidden || !same) {
				t.Fatalf("%v is stored as %v", in[i], p)
			}
		}
		none := in.Withhold()
		if !cmp.Equal(none, none.Withhold(), cmpopts.EquateEmpty()) || none.Withheld() != slices.ContainsFunc(in, func(p Part) bool { return p.Kind == KindArg }) {
			t.Fatalf("%v is withheld as %v", in, none)
		}
		for _, p := range none {
			if (p.Kind == KindArg || p.Kind == KindValue) && !p.withheld() {
				t.Fatalf("%v is withheld as %v", in, none)
			}
		}
	})
}

// FuzzToken checks that different fields have different tokens, even if the
// concatenated fields are equal.
func FuzzToken(f *testing.F) {
	f.Add("default", "a", "", int64(1), "defaulta", "", "", int64(1))
	f.Add("ns", "k", "2026", int64(1), "ns", "k2026", "", int64(1))
	f.Add("ns", "k\x00", "", int64(1), "ns", "k", "\x00", int64(1))
	f.Add("", "", "", int64(1), "", "", "", int64(-1))
	f.Fuzz(func(t *testing.T, ns, key, window string, generation int64, ns2, key2, window2 string, generation2 int64) {
		same := ns == ns2 && key == key2 && window == window2
		token := Token(ns, key, window, generation)
		if (token == Token(ns2, key2, window2, generation2)) != (same && generation == generation2) {
			t.Fatal("tokens and keys disagree on whether they are equal")
		}
		if s := token.String(); len(s) != 36 || token.Version() != 8 || CheckKey(s, false) != nil {
			t.Fatalf("%s is not a UUID of version 8", s)
		}
	})
}

// zones are time zones with unusual clock changes: at midnight, by half an hour,
// by a whole day, by seconds.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia",
	"Pacific/Kiritimati", "Asia/Kolkata", "Africa/Monrovia", "Asia/Beirut", "Antarctica/Troll",
}

// FuzzWindow checks three things:
//   - Window returns the window of the local time minus DayStart, which the test
//     computes in a different way.
//   - A later local time never has an earlier window.
//   - CheckWindow accepts every result of Window.
func FuzzWindow(f *testing.F) {
	for i, text := range []string{"2026-10-25T01:00:00Z", "2027-01-01T03:59:59Z", "2024-12-30T00:00:00Z", "2011-12-30T10:00:00Z", "1900-01-01T00:00:00Z", "2018-11-04T03:00:00Z"} {
		at, _ := time.Parse(time.RFC3339, text)
		f.Add(at.Unix(), uint32(3600), byte(i), uint16(i*60))
	}
	f.Add(int64(-62167219200), uint32(1), byte(1), uint16(1439))
	f.Add(int64(253402300799), uint32(0), byte(1), uint16(0))
	var places []*time.Location
	for _, name := range zones {
		places = append(places, zone(f, name))
	}
	f.Fuzz(func(t *testing.T, unix int64, later uint32, zoneIndex byte, dayStart uint16) {
		const first, last = -62135596800, 253402300799 // the years 1 to 9999
		unix = first + int64(uint64(unix-first)%(last-first))
		z := places[int(zoneIndex)%len(places)]
		start := time.Duration(dayStart%(24*60)) * time.Minute
		at := time.Unix(unix, 0)
		then := at.Add(time.Duration(later) * time.Second)
		if at.In(z).Year() < 1 || at.In(z).Add(-start).Year() < 1 || then.In(z).Year() > 9999 {
			return
		}
		wall := func(t time.Time) time.Time {
			_, offset := t.In(z).Zone()
			return t.UTC().Add(time.Duration(offset) * time.Second)
		}
		day := wall(at).Add(-start)
		year, week := day.ISOWeek()
		_, offset := at.In(z).Zone()
		sign := '+'
		if offset <= -60 {
			sign, offset = '-', -offset
		}
		offset = max(offset, -offset)
		for per, want := range map[Per]string{
			PerHour:  fmt.Sprintf("%s%c%02d:%02d", wall(at).Format("2006-01-02T15"), sign, offset/3600, offset/60%60),
			PerDay:   fmt.Sprintf("%04d-%02d-%02d", day.Year(), day.Month(), day.Day()),
			PerWeek:  fmt.Sprintf("%04d-W%02d", year, week),
			PerMonth: fmt.Sprintf("%04d-%02d", day.Year(), day.Month()),
			PerYear:  fmt.Sprintf("%04d", day.Year()),
		} {
			c := Calendar{Per: per, Zone: z, DayStart: start}
			got := c.Window(at)
			if got != want || CheckWindow(got) != nil || CheckKey(got, true) != nil {
				t.Fatalf("%v, day start %v, per %s: got %q, want %q", at.In(z), start, per, got, want)
			}
			if next := c.Window(then); per != PerHour && !wall(then).Before(wall(at)) && next < got {
				t.Fatalf("%v, day start %v, per %s: %q is followed by %q at %v", at.In(z), start, per, got, next, then.In(z))
			}
			if next := c.Window(then); per == PerHour && next == got && then.Sub(at) >= time.Hour {
				t.Fatalf("%v and %v are in the same hour %q", at.In(z), then.In(z), got)
			}
		}
	})
}

// FuzzCheckWindow checks that every accepted text is the window of some time.
func FuzzCheckWindow(f *testing.F) {
	for _, w := range []string{
		"", "2026", "2026-11", "2026-W47", "2026-11-22", "2026-11-22T14+01:00", "2026-11-22T14-09:30", "2025-W53", "2026-W00", "2026-W54", "0000-W01",
		"2026-11-22T14+24:60", "2026-11-22T14-00:00", "2026-02-29", "+026-W47", "2026-W4\xff", "2026\x00", "２０２６", "2026-11-22T14Z",
	} {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, w string) {
		if CheckWindow(w) != nil {
			return
		}
		var times []time.Time
		for _, layout := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15-07:00"} {
			if at, err := time.Parse(layout, w); err == nil {
				times = append(times, at)
			}
		}
		if year, err := time.Parse("2006", w[:4]); err == nil && len(times) == 0 {
			for day := range 373 {
				times = append(times, year.AddDate(0, 0, day-3))
			}
		}
		for _, at := range times {
			for _, per := range Pers {
				if (Calendar{Per: Per(per), Zone: at.Location()}).Window(at) == w {
					return
				}
			}
		}
		t.Fatalf("%q is accepted, but is not the window of any time", w)
	})
}

// FuzzParseDayStart checks that every result is a minute of a day and formats as
// the text that was parsed.
func FuzzParseDayStart(f *testing.F) {
	for _, s := range []string{"", "04:00", "4:00", "24:00", "23:59", "-1:00", "04:00\n", "4:0", "٠٤:٠٠", "04:00.5", "04:\xff0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDayStart(s)
		if err != nil {
			return
		}
		full := fmt.Sprintf("%02d:%02d", d/time.Hour, d/time.Minute%60)
		if d < 0 || d >= 24*time.Hour || d%time.Minute != 0 || full != s && full != "0"+s {
			t.Fatalf("%q parses as %v", s, d)
		}
	})
}
