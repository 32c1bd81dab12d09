package cmd

import (
	"crypto/hmac"
	"crypto/sha256"
	"os"
	"path"
	"slices"
	"strings"

	"idem/hashkey"
)

const nameRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

// isVariableName reports whether s is the name of a variable as a shell has it.
func isVariableName(s string) bool {
	return s != "" && strings.Trim(s, nameRunes) == "" && (s[0] < '0' || s[0] > '9')
}

// isNamePattern reports whether s is a pattern of names, with * and ?.
func isNamePattern(s string) bool {
	return strings.ContainsAny(s, "*?") && strings.Trim(s, nameRunes+"*?") == "" && strings.Trim(s, "*?") != ""
}

// checkVariable returns why text, the value of flag, does not name a variable, or
// nil. The error never has the text: mostly it is the value of a variable, put
// there by a dollar sign.
func checkVariable(flag, text string, patterns bool) error {
	if text == "" {
		return usage("%s is empty: a variable may be unset", flag)
	}
	if _, set := os.LookupEnv(text); set {
		return nil // whatever it looks like, such as INPUT_MY-INPUT
	}
	of := variableWith(text)
	if of == "" && (isVariableName(text) || patterns && isNamePattern(text)) {
		return nil
	}
	f := usage("%s requires the name of a variable", flag).detail("the value given is not shown, because it may be a secret")
	switch {
	case of != "":
		return f.hint("name the variable, without a dollar sign: %s %s", flag, of)
	case strings.ContainsAny(text, ", "):
		return f.hint("repeat the flag for each variable: %s A %s B", flag, flag)
	case patterns && strings.Trim(text, "*?") == "":
		return f.hint("a pattern must contain a part of a name: %s 'NEXT_PUBLIC_*'", flag)
	}
	return f.hint("name the variable, without a dollar sign: %s API_KEY", flag)
}

// variableWith returns the name of an environment variable whose value is text,
// "" if there is none. A text in capitals is mostly a name, even if it is the
// value of another variable too.
func variableWith(text string) string {
	if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" && isVariableName(text) {
		return ""
	}
	for _, kv := range os.Environ() {
		if name, value, _ := strings.Cut(kv, "="); value == text && isVariableName(name) {
			return name
		}
	}
	return ""
}

// variableNames returns the names that count for one --hash-env, sorted: all that
// match a pattern, or the name or pattern itself where nothing does.
func variableNames(text string) []string {
	if _, set := os.LookupEnv(text); set || !isNamePattern(text) {
		return []string{text}
	}
	var names []string
	for _, kv := range os.Environ() {
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

// variableParts returns the inputs of the --hash-env flags of a call.
func variableParts(texts []string, secret []byte) hashkey.Inputs {
	var in hashkey.Inputs
	for _, text := range texts {
		for _, name := range variableNames(text) {
			in = append(in, hashkey.Part{Kind: hashkey.KindEnv, Name: name, Value: envDigest(secret, name)})
		}
	}
	return in
}

// envDigest is the value of an environment variable, keyed by a secret of the
// ledger: a reader of its database alone cannot confirm a guessed password.
func envDigest(secret []byte, name string) []byte {
	value, ok := os.LookupEnv(name)
	if !ok {
		return hashkey.Absent()
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(value))
	return hashkey.Present(mac.Sum(nil))
}
