package batch

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// nameMax is the number of columns for the name of a batch.
const nameMax = 40

// progressText returns a line such as
//
//	K  48,210/100,000 (40,000 before)  512/s  eta 1m41s  3 failed  8 running
//
// Items that were done before the call are in the count, but not in the speed.
func progressText(name string, at Standing, perSecond float64) string {
	var b strings.Builder
	if short := cut(name, nameMax); short != name {
		name = short + "…"
	}
	fmt.Fprintf(&b, "%s  %s", name, comma(at.Settled))
	total, exact := at.total()
	switch {
	case exact:
		fmt.Fprintf(&b, "/%s", comma(total))
	case total > 0:
		fmt.Fprintf(&b, "/~%s", comma(total))
	}
	if at.Before > 0 {
		fmt.Fprintf(&b, " (%s before)", comma(at.Before))
	}
	if perSecond > 0 {
		fmt.Fprintf(&b, "  %s", speedText(perSecond))
		if left := total - at.Settled; left > 0 {
			fmt.Fprintf(&b, "  eta %s", spanText(float64(left)/perSecond))
		}
	}
	if at.Failed > 0 {
		fmt.Fprintf(&b, "  %s failed", comma(at.Failed))
	}
	if at.Running > 0 {
		fmt.Fprintf(&b, "  %s running", comma(at.Running))
	}
	return b.String()
}

// total returns the number of items of the input, 0 if it is unknown. If it is not exact,
// it was computed from the part of the input that was read.
func (s Standing) total() (n int, exact bool) {
	switch {
	case s.AllRead:
		return s.Read, true
	case s.Read == 0 || s.ReadBytes <= 0 || s.Size <= 0:
		return 0, false
	}
	n = int(math.Round(float64(s.Read) * float64(s.Size) / float64(s.ReadBytes)))
	return max(n, s.Read), false
}

func comma(n int) string { return humanize.Comma(int64(n)) }

func speedText(perSecond float64) string {
	switch {
	case perSecond >= 9.95:
		return comma(int(math.Round(perSecond))) + "/s"
	case perSecond >= 1:
		return fmt.Sprintf("%.1f/s", perSecond)
	case perSecond*60 >= 1:
		return fmt.Sprintf("%.1f/min", perSecond*60)
	}
	return fmt.Sprintf("%.1f/h", perSecond*3600)
}

// spanText returns a time in its two largest units.
func spanText(seconds float64) string {
	if seconds >= 1000*24*3600 {
		return "over 1000d"
	}
	d := time.Duration(math.Ceil(seconds)) * time.Second
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h >= 24:
		return fmt.Sprintf("%dd%02dh", h/24, h%24)
	case h > 0:
		return fmt.Sprintf("%dh%02dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm%02ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}

// cut returns the beginning of a line that needs at most so many columns. The width of a
// character is not known exactly, so none is taken for too narrow.
func cut(line string, columns int) string {
	for i, r := range line {
		if columns -= width(r); columns < 0 {
			return line[:i]
		}
	}
	return line
}

// width returns the most columns that a terminal needs for r.
func width(r rune) int {
	if r < 0x1100 { // no wider characters before Hangul
		return 1
	}
	return 2
}
