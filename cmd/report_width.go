package cmd

import (
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
	"golang.org/x/text/width"
)

// minWidth is the least width of a terminal that a row is made to fit.
const minWidth = 40

// widthOf returns the number of cells in a line of a terminal. COLUMNS comes before the
// size that the terminal has, as in other programs.
func widthOf(f *os.File) int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 { // some terminals do not know it
		return n
	}
	return 80
}

// textWidth returns the width that texts on stdout fit: of the terminal, noWidth in a pipe.
func (a *app) textWidth() int {
	if isTerminal(a.ui.stdout) {
		return widthOf(a.ui.stdout)
	}
	return noWidth
}

// cellsOf returns the number of cells that a character takes on a terminal: two if it is
// wide, none if it is combined with the one before it. Characters of ambiguous width take
// one, as outside of East Asian locales.
func cellsOf(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf), 0x1160 <= r && r <= 0x11ff: // vowels of Hangul join a syllable
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cells returns the number of cells that escaped text takes.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += cellsOf(r)
	}
	return n
}

// ellipsis stands for the part of a text that is left out.
const ellipsis = "…"

// shorten returns escaped text that takes at most room cells. It leaves out the middle,
// because both ends of a key tell more.
func shorten(s string, room int) string {
	if cells(s) <= room {
		return s
	}
	room -= cells(ellipsis)
	if room < 0 {
		return ""
	}
	runes := []rune(s)
	from, to := 0, len(runes)
	head, tail := (room+1)/2, room/2
	for from < to && cellsOf(runes[from]) <= head { // marks that follow a character stay with it
		head -= cellsOf(runes[from])
		from++
	}
	for tail += head; to > from; { // a wide character may have left a cell
		next := to - 1
		for next > from && cellsOf(runes[next]) == 0 {
			next--
		}
		n := cells(string(runes[next:to]))
		if n > tail {
			break
		}
		tail -= n
		to = next
	}
	return string(runes[:from]) + ellipsis + string(runes[to:])
}

// fold breaks escaped text into lines of at most room cells, between words where it can. It
// keeps the spaces at the beginning. There is at least one line, and a line of one character
// if room is smaller.
func fold(s string, room int) []string {
	var lines []string
	for cells(s) > room {
		end, used, space := 0, 0, 0 // space: behind the last one that fits
		for i, r := range s {
			if used += cellsOf(r); used > room && i > 0 {
				break
			}
			if end = i + utf8.RuneLen(r); r == ' ' && strings.TrimLeft(s[:i], " ") != "" {
				space = end
			}
		}
		switch {
		case end == len(s): // one wide character
			return append(lines, s)
		case s[end] == ' ':
			space = end
		}
		if space > 0 {
			end = space
		}
		lines = append(lines, strings.TrimRight(s[:end], " "))
		s = strings.TrimLeft(s[end:], " ")
	}
	return append(lines, s)
}
