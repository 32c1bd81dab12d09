package cmd

import (
	"os"

	"idem/ledger"
)

// colored reports whether what is written to f has colours, by the conventions of
// no-color.org and bixense.com/clicolors.
func colored(f *os.File) bool {
	force := os.Getenv("CLICOLOR_FORCE")
	switch {
	case os.Getenv("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	}
	return os.Getenv("CLICOLOR") != "0" && !dumb() && isTerminal(f)
}

// dumb reports whether the terminal can only print. A terminal without a type may be one.
func dumb() bool { name := os.Getenv("TERM"); return name == "" || name == "dumb" }

// painter returns the function that colours a text about a phase for f. A glyph or
// a word says the same as each colour.
func painter(f *os.File) func(text string, phase ledger.Phase) string {
	on := colored(f)
	return func(text string, phase ledger.Phase) string {
		if color := phaseColors[phase]; on && color != "" {
			return "\x1b[" + color + "m" + text + "\x1b[0m"
		}
		return text
	}
}

// phaseColors are the colours of phases: codes of ECMA-48.
var phaseColors = map[ledger.Phase]string{
	ledger.PhaseSucceeded: "32", ledger.PhaseFailed: "31", ledger.PhaseInterrupted: "1;33", ledger.PhaseRunning: "36", ledger.PhaseRetry: "33",
}
