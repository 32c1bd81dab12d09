package inputs

import (
	"crypto/hmac"
	"crypto/sha256"
	"path"
	"slices"
	"strings"

	"idem/hashkey"
)

// Environ is an environment as os.Environ returns it: NAME=VALUE, each name once.
type Environ []string

// Lookup returns the value of a variable and reports whether it is set.
func (e Environ) Lookup(name string) (string, bool) {
	for _, kv := range e {
		if n, value, ok := strings.Cut(kv, "="); ok && n == name && n != "" {
			return value, true
		}
	}
	return "", false
}

const (
	upperRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	nameRunes  = upperRunes + "abcdefghijklmnopqrstuvwxyz"
)

// isVariableName reports whether a shell accepts s as the name of a variable.
func isVariableName(s string) bool {
	return s != "" && strings.Trim(s, nameRunes) == "" && (s[0] < '0' || s[0] > '9')
}

// isNamePattern reports whether s is a pattern of names, with * and ?.
func isNamePattern(s string) bool {
	return strings.ContainsAny(s, "*?") && strings.Trim(s, nameRunes+"*?") == "" && strings.Trim(s, "*?") != ""
}

// Names returns the names of all variables, in the order of the environment.
func (e Environ) Names() []string {
	var names []string
	for _, kv := range e {
		if name, _, ok := strings.Cut(kv, "="); ok && name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Check returns nil if text, the value of a flag, names a variable or, with patterns,
// is a pattern of names. Else it returns an *Error. The error never contains the text,
// because a stray dollar sign may have put the value of a variable there.
func (e Environ) Check(flag, text string, patterns bool) error {
	if text == "" {
		return &Error{Flag: flag, Problem: Empty}
	}
	if _, set := e.Lookup(text); set {
		return nil // even if a shell would not accept it, such as INPUT_MY-INPUT
	}
	name := e.VariableWith(text)
	switch {
	case name != "":
		return &Error{Flag: flag, Problem: ValueOfVariable, Value: name}
	case isVariableName(text) || patterns && isNamePattern(text):
		return nil
	case strings.ContainsAny(text, ", "):
		return &Error{Flag: flag, Problem: ManyVariables}
	case patterns && strings.Trim(text, "*?") == "":
		return &Error{Flag: flag, Problem: AnyVariable}
	}
	return &Error{Flag: flag, Problem: NotVariable}
}

// VariableWith returns the name of a variable whose value is text, "" if there is
// none. For a text in capitals it returns "": such a text is usually a name, even if
// it is also the value of another variable.
func (e Environ) VariableWith(text string) string {
	if strings.Trim(text, upperRunes) == "" && isVariableName(text) {
		return ""
	}
	for _, kv := range e {
		if name, value, _ := strings.Cut(kv, "="); value == text && isVariableName(name) {
			return name
		}
	}
	return ""
}

// names returns the names that count for one --hash-env, sorted. For a pattern, these
// are all names that match it. If none matches, or for a name, it is the text itself.
func (e Environ) names(text string) []string {
	if _, set := e.Lookup(text); set || !isNamePattern(text) {
		return []string{text}
	}
	var names []string
	for _, kv := range e {
		name, _, _ := strings.Cut(kv, "=")
		if match, _ := path.Match(text, name); match {
			names = append(names, name)
		}
	}
	if names == nil {
		return []string{text}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// parts returns the inputs of the --hash-env flags of a call.
func (e Environ) parts(texts []string, secret []byte) hashkey.Inputs {
	var in hashkey.Inputs
	for _, text := range texts {
		for _, name := range e.names(text) {
			in = append(in, hashkey.Part{Kind: hashkey.KindEnv, Name: name, Value: e.digest(secret, name)})
		}
	}
	return in
}

// digest returns the value of a variable as an input. It is keyed by a secret of
// the ledger, so a reader of its database alone cannot confirm a guessed password.
func (e Environ) digest(secret []byte, name string) []byte {
	value, ok := e.Lookup(name)
	if !ok {
		return hashkey.Absent()
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(value))
	return hashkey.Present(mac.Sum(nil))
}
