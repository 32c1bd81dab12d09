package cmd

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"idem/runner"
)

// units are the units of durations in nanoseconds. A number alone is in
// seconds.
var units = map[string]float64{
	"": 1e9, "ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 24 * 3600e9, "w": 7 * 24 * 3600e9,
}

// nanoseconds calculates a duration of one number and one unit with more digits
// than a float64 has.
func nanoseconds(s string) (*big.Float, bool) {
	number := strings.TrimRight(s, "nuµmsdwh")
	unit, ok := units[s[len(number):]]
	n, _, err := big.ParseFloat(number, 10, 300, big.ToNearestEven)
	if !ok || err != nil || n.IsInf() {
		return nil, false
	}
	return n.Mul(n, big.NewFloat(unit)), true
}

// FuzzDuration checks that a duration is never negative, has the written value,
// and reads again as itself.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{
		"", "0", "90", "1.5", "1h30m", "-1s", "-0", "+5", ".5", "5.", "7d", "2w", "1e3", "1e-9", "1e-10", "1e-20w", "0.1ns", "1e400", "1e-400", "NaN", "inf", "NaNd", "infw",
		"9223372036", "9223372037", "106751.99116730063d", "106751.99116730065d", "15250.284452471518w", "1e18w", "-1d", "0x1p4", "0x1p4d", "1_0", "1d2h",
		"2562047h47m16.854775807s", "2562047h47m16.854775808s", "٣s", "1\xff", "1s\n", " 1", "d", "w", "00:10",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := parseLongDuration(s)
		short, shortErr := parseDuration(s)
		if shortErr == nil && (err != nil || short != d) {
			t.Fatalf("%q: got %v with days and weeks, want %v", s, d, short)
		}
		if err != nil {
			return
		}
		if want, ok := nanoseconds(s); ok {
			diff := new(big.Float).Sub(want, new(big.Float).SetInt64(int64(d)))
			most := new(big.Float).Add(big.NewFloat(1), new(big.Float).Mul(want, big.NewFloat(1e-15)))
			if diff.Abs(diff).Cmp(most) > 0 || d == 0 && want.Sign() > 0 {
				t.Fatalf("%q: got %v, want %v", s, d, want)
			}
		}
		again := duration{d}
		if err := again.Set(again.String()); d != 0 && err != nil || d < 0 || again.Duration != d {
			t.Fatalf("%q reads as %v: got that as %v, error %v, want the same", s, d, again.Duration, err)
		}
		var limit ttl
		if err := limit.Set(s); (err == nil) != (d > 0) || err == nil && limit != (ttl{set: true, limit: d}) {
			t.Fatalf("%q reads as %v: got --ttl %v, error %v, want the same", s, d, limit, err)
		}
		var w wait
		if err := w.Set(s); shortErr == nil && (err != nil || w != wait{set: d > 0, limit: d}) {
			t.Fatalf("%q reads as %v: got --wait %v, error %v, want the same", s, d, w, err)
		}
	})
}

// FuzzSize checks that a size is never negative and has the written value, and
// that only "unlimited" means no limit.
func FuzzSize(f *testing.F) {
	for _, s := range []string{
		"", "0", "1", "500KB", "10MiB", "10 mib", "1.5k", "1,000", "unlimited", "Unlimited", "-1", "+1", "1e3", "NaN", "inf", "4EiB", "4.1EiB", "8EiB", "16EiB",
		"18446744073709551615", "18446744073709551616", "9223372036854775807", "0.5", ".", ",", "1.2.3", "٣", "1\xff", "1 \x00", "1\u212a", "1PB", "1 b",
	} {
		f.Add(s)
	}
	units := map[string]float64{
		"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12, "p": 1e15, "pb": 1e15, "e": 1e18, "eb": 1e18,
		"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20, "gi": 1 << 30, "gib": 1 << 30, "ti": 1 << 40, "tib": 1 << 40,
		"pi": 1 << 50, "pib": 1 << 50, "ei": 1 << 60, "eib": 1 << 60,
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got size
		if err := got.Set(s); err != nil {
			if got != (size{}) {
				t.Fatalf("%q is refused: got %v, want no value", s, got)
			}
			return
		}
		if (got.bytes < 0) != (s == "unlimited") || got.String() != s {
			t.Fatalf("%q: got %v, want it to read as it is written", s, got)
		}
		number := s[:len(s)-len(strings.TrimLeft(s, "0123456789.,"))]
		unit, ok := units[strings.ToLower(strings.TrimSpace(s[len(number):]))]
		n, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
		// With more digits than a float64 has, the last digit may differ.
		if off := math.Abs(float64(got.bytes) - math.Trunc(n*unit)); got.bytes >= 0 && (!ok || err != nil || off > n*unit*1e-15) {
			t.Fatalf("%q: got %d bytes, want %v of %v, error %v", s, got.bytes, n, unit, err)
		}
	})
}

// FuzzCodesFlag checks that the shown value of --ok reads as the same statuses.
func FuzzCodesFlag(f *testing.F) {
	for _, s := range []string{"", "0", "0,24", "100-110", "1-", "0x1", "00,1", "1\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c, again codes
		if c.Set(s) == nil && (again.Set(c.String()) != nil || !slices.Equal(c.set, again.set)) {
			t.Fatalf("%q reads as %v: got that as %v, want the same", s, c.set, again.set)
		}
	})
}

// FuzzOKFlag checks that --ok keeps some of the statuses that it makes a success, and
// that it parses the rest of its value as --final does.
func FuzzOKFlag(f *testing.F) {
	for _, s := range []string{"", "0", "0,2=keep", "1-5,2=keep", "2=", "2=keep=keep", "=keep", "2=Keep", "1-3=keep", "2 =keep", "2=keep,", "0=keep"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var c, again okCodes
		var plain codes
		err, bare := c.Set(s), plain.Set(strings.ReplaceAll(s, "=keep", ""))
		if err == nil && bare != nil || err != nil && bare == nil && !strings.Contains(s, "=") {
			t.Fatalf("%q: got error %v, want %v", s, err, bare)
		}
		if err != nil {
			return
		}
		if !slices.Equal(c.set, plain.set) || len(c.kept) != strings.Count(s, "=keep") || len(c.kept) > 0 && !c.kept.Within(c.set) {
			t.Fatalf("%q: got %v and kept %v, want %v and a part of it", s, c.set, c.kept, plain.set)
		}
		if again.Set(c.String()) != nil || !slices.Equal(c.set, again.set) || !slices.Equal(c.kept, again.kept) {
			t.Fatalf("%q reads as %v: got that as %v, want the same", s, c, again)
		}
	})
}

// FuzzExitCodes checks that --exit-code takes a name and a status, and nothing
// else.
func FuzzExitCodes(f *testing.F) {
	for _, s := range []string{"", "=", "running=0", "mismatch=255", "failed=256", "ledger=-1", "ledger=+1", "running", "running=", "Running=0", "running=0=1", "running=007", "running=0x1", "\xff=1", "running=1\x00", "replayed=10", "executed=255", "replayed=0", "executed=00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := exitCodes{}
		if err := e.Set(s); err != nil {
			if len(e) > 0 || steers(err.Error(), "") {
				t.Fatalf("%q is refused with %q: got the changes %v, want none", s, err, e)
			}
			return
		}
		for _, r := range remaps {
			name, from := r.name, r.code
			to, ok := e[from]
			digits, named := strings.CutPrefix(s, name+"=")
			if named && from < 0 && strings.Trim(digits, "0") == "" { // the default
				if len(e) > 0 {
					t.Fatalf("%q: got the changes %v, want none", s, e)
				}
				return
			}
			if ok != named || ok && fmt.Sprint(to) != cmp.Or(strings.TrimLeft(digits, "0"), "0") || e.remap(from) != to && ok || to < 0 || to > 255 {
				t.Fatalf("%q: got the changes %v, want one valid status", s, e)
			}
		}
		if len(e) != 1 || e.remap(exitOK) != exitOK {
			t.Fatalf("%q: got the changes %v, want one", s, e)
		}
	})
}

// FuzzHook checks that --hook takes events and a command that is not blank, unchanged.
func FuzzHook(f *testing.F) {
	for _, s := range []string{
		"", "=", "start=", "start= \t", "start=x", "success=a=b", "Start=x", "start =x", " start=x", "failure=\xff\x1b", "done=\n",
		"end=x", "end,end=x", "success,failure=x", ",=x", "end,=x", ",end=x", "end, start=x", "start,end", "=,end=x",
	} {
		f.Add(s)
	}
	names := append(strings.Split(eventList, ", "), endEvent)
	f.Fuzz(func(t *testing.T, s string) {
		var h hooks
		if err := h.Set(s); err != nil {
			if len(h.list) > 0 || steers(err.Error(), "") {
				t.Fatalf("%q is refused with %q: got %v, want no hook", s, err, h.list)
			}
			return
		}
		if len(h.list) != 1 || h.list[0].events+"="+h.list[0].Command != s || strings.TrimSpace(h.list[0].Command) == "" || len(h.list[0].Events) == 0 {
			t.Fatalf("%q: got %v, want the events and the command", s, h.list)
		}
		for _, name := range strings.Split(h.list[0].events, ",") {
			if !slices.Contains(names, name) {
				t.Fatalf("%q: got the event %q, want an existing one", s, name)
			}
		}
	})
}

// TestEventList checks that the help names every event.
func TestEventList(t *testing.T) {
	var names []string
	for _, e := range runner.Events() {
		names = append(names, string(e))
	}
	if want := strings.Join(names, ", "); eventList != want {
		t.Errorf("got %s, want %s", eventList, want)
	}
}
