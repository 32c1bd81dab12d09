package cmd

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

// tokenOf is the IDEM_TOKEN of a record.
func tokenOf(id ledger.ID, generation int64) string {
	return hashkey.Token(id.Namespace, id.Key, id.Window, generation).String()
}

// chainVar names the attempts that a process runs inside of, the innermost last:
// their run ids, joined by colons.
const chainVar = "IDEM_CHAIN"

// around are the attempts that this call is made inside of.
func around() []string { return strings.Split(os.Getenv(chainVar), ":") }

// inside is the chain of a process that runs inside of an attempt.
func inside(at runner.Attempt) string {
	return strings.Trim(os.Getenv(chainVar)+":"+at.RunID, ":")
}

// variables are what a command is told of the attempt that it is.
func variables(at runner.Attempt, place, chain string) map[string]string {
	token := tokenOf(at.ID, at.Generation)
	set := map[string]string{
		"IDEM_KEY": at.ID.Key, "IDEM_NAMESPACE": at.ID.Namespace, "IDEM_WINDOW": at.ID.Window,
		"IDEM_LEDGER": place, "IDEM_TOKEN": token, "IDEM_TOKEN_HEX": strings.ReplaceAll(token, "-", ""),
		chainVar: chain,
	}
	if at.Number > 0 {
		set["IDEM_RUN_ID"], set["IDEM_ATTEMPT"], set["IDEM_FENCE"] = at.RunID, strconv.Itoa(at.Number), strconv.FormatInt(at.Fence, 10)
	}
	return set
}

// environ returns our environment with the given variables in place of what
// they were, and without what an outer idem says of its attempt.
func environ(set map[string]string) []string {
	ofAttempt := append([]string{"IDEM_RUN_ID"}, unprotectedLacks...)
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if _, ours := set[name]; !ours && !slices.Contains(ofAttempt, name) {
			env = append(env, kv)
		}
	}
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	return env
}
