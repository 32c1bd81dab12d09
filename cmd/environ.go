package cmd

import (
	"crypto/sha256"
	"encoding/hex"
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

// around is what this call is made inside of.
func around() []string {
	return strings.FieldsFunc(os.Getenv(ledger.ChainVar), func(r rune) bool { return r == ':' })
}

// chainOf returns the chain of a process that runs for an attempt: it is inside of
// the attempt or, where there is none, of the probe before the first attempt.
func chainOf(at runner.Attempt, place string) string {
	if at.Over {
		return os.Getenv(ledger.ChainVar)
	}
	chain := around()
	switch {
	case at.RunID == "":
		chain = append(chain, unbegun(at.ID, place))
	case at.Event != "":
		chain = append(chain, ledger.ForEvent, at.RunID)
	default:
		chain = append(chain, at.RunID)
	}
	return strings.Join(chain, ":")
}

// insideOf returns what a call of a key of the ledger at place is made inside of.
func insideOf(id ledger.ID, place string) runner.Inside {
	chain := around()
	return runner.Inside{Attempts: chain, Probe: len(chain) > 0 && slices.Contains(chain, unbegun(id, place))}
}

// unbegun names a key of the ledger at place in a chain.
func unbegun(id ledger.ID, place string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{place, id.Namespace, id.Key, id.Window}, "\x00")))
	return "key-" + hex.EncodeToString(sum[:16])
}

// variables are what a command is told of the attempt that it is.
func variables(at runner.Attempt, place, chain string) map[string]string {
	token := tokenOf(at.ID, at.Generation)
	set := map[string]string{
		"IDEM_KEY": at.ID.Key, "IDEM_NAMESPACE": at.ID.Namespace, "IDEM_WINDOW": at.ID.Window,
		"IDEM_LEDGER": place, "IDEM_TOKEN": token, "IDEM_TOKEN_HEX": strings.ReplaceAll(token, "-", ""),
		ledger.ChainVar: chain,
	}
	if at.Event != "" {
		set[ledger.EventVar] = at.Event
	}
	if at.Number > 0 {
		set[ledger.RunIDVar], set["IDEM_ATTEMPT"], set["IDEM_FENCE"] = at.RunID, strconv.Itoa(at.Number), strconv.FormatInt(at.Fence, 10)
	}
	return set
}

// environ returns our environment with the given variables in place of what
// they were, and without what an outer idem says of its attempt.
func environ(set map[string]string) []string {
	ofAttempt := append([]string{ledger.RunIDVar, ledger.EventVar, "IDEM_EXIT_CODE"}, unprotectedLacks...)
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
