package inputs

import (
	"fmt"
	"strings"
)

// Error is a flag with a value that cannot be used.
type Error struct {
	Flag    string // such as "--hash-env"
	Problem Problem
	Value   string // see Problem
	Err     error  // the cause, only with Failed
}

// Problem says what is wrong with the value of a flag. The value itself is in an
// Error only where it cannot be a secret.
type Problem int

// The problems.
const (
	Failed          Problem = iota // Err says why
	Empty                          // the value is empty
	NotAssignment                  // the value is not NAME=VALUE
	MatchesAll                     // the expression Value matches every argument
	TooMuch                        // stdin has more than Value bytes
	NotVariable                    // the value does not name a variable
	ValueOfVariable                // the value is that of the variable Value
	ManyVariables                  // the value names several variables
	AnyVariable                    // the value is a pattern that matches every name
)

// problems are the texts of the problems but Failed.
var problems = [...]string{
	Empty: "is empty", NotAssignment: "is not NAME=VALUE", MatchesAll: "matches everything", TooMuch: "is exceeded",
	NotVariable: "names no variable", ValueOfVariable: "is given the value of a variable",
	ManyVariables: "names several variables", AnyVariable: "matches every variable",
}

func (e *Error) Error() string {
	if e.Problem == Failed {
		return fmt.Sprintf("%s: %v", e.Flag, e.Err)
	}
	return e.Flag + " " + problems[e.Problem]
}

func (e *Error) Unwrap() error { return e.Err }

// PatternError is a pattern of paths that is malformed or has two meanings, because of
// a bracket in a name.
type PatternError struct {
	Pattern string
	// Path exists and has the name of the pattern, and Match is a path that the
	// pattern matches. Both are empty with Err.
	Path, Match string
	Err         error // the pattern is malformed
}

func (e *PatternError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%q is not a pattern: %v", e.Pattern, e.Err)
	}
	return fmt.Sprintf("%q has two meanings: %q exists, and the pattern matches %q", e.Pattern, e.Path, e.Match)
}

func (e *PatternError) Unwrap() error { return e.Err }

// Escaped returns the pattern with its brackets and backslashes escaped, so they
// are parts of names.
func (e *PatternError) Escaped() string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(e.Pattern)
}
