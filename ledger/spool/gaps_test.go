package spool

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"idem/ledger"
)

// oldGap returns a gap as earlier versions wrote it, with an unknown stream.
func oldGap(n uint64) []byte {
	return appendFrame(nil, gapStream, 0, binary.LittleEndian.AppendUint64(nil, n))
}

func TestGapsOfEarlierVersions(t *testing.T) {
	lone := oldGap(7)
	around := append(appendFrame(oldGap(7), 1, 0, []byte("end")), oldGap(2)...)
	for name, test := range map[string]struct {
		frames []byte
		want   ledger.Gaps
	}{
		"nothing was to be kept": {lone, ledger.Gaps{Unwanted: true}},
		"some was kept":          {around, ledger.Gaps{Unknown: 9}},
		"new and alone":          {appendGaps(nil, 0, ledger.Gaps{Stderr: 7}), ledger.Gaps{Stderr: 7}},
	} {
		got, err := OpenInline(test.frames, sumHeaders(0, test.frames)).Check()
		if err != nil || got != test.want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, test.want)
		}
	}
}

// TestCheckFindsDamage checks that Check finds the same damage as a replay.
func TestCheckFindsDamage(t *testing.T) {
	frames, sum, _ := sample(t)
	frames[len(frames)-1] ^= 1
	r := OpenInline(frames, sum)
	for range 2 {
		if _, err := r.Check(); !errors.Is(err, ledger.ErrCorrupt) {
			t.Fatalf("got %v, want %v", err, ledger.ErrCorrupt)
		}
	}
}

// TestMissedOutputWithoutAnyOther checks that the recording is then only a gap.
func TestMissedOutputWithoutAnyOther(t *testing.T) {
	w := NewWriter(-1, time.Now(), nil)
	w.Miss(ledger.Gaps{Stdout: 5})
	s, err := w.Close(true)
	must(t, err)
	if !s.Truncated || s.Bytes != 5 {
		t.Errorf("got %+v", s)
	}
	if g, err := OpenInline(s.Inline, s.Sum).Check(); err != nil || g != (ledger.Gaps{Stdout: 5}) {
		t.Errorf("got %+v, %v", g, err)
	}
}
