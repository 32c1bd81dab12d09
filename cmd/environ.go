package cmd

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"idem/hashkey"
	"idem/ledger"
	"idem/runner"
)

// tokenOf returns the IDEM_TOKEN of a record.
func tokenOf(id ledger.ID, generation int64) string {
	return hashkey.Token(id.Namespace, id.Key, id.Window, generation).String()
}

// outerAttempts returns the chain that this process runs inside of, outermost first.
// Its elements are the run IDs of attempts. ledger.ForEvent is before the ID of an
// attempt if this process is in a hook or a probe of the attempt. For a probe before
// the first attempt, the element is the unstartedName of the key. For a question that is
// asked without the claim, the ID follows askedPrefix. For a hook, the hookName of the key
// comes before that.
func outerAttempts() []string {
	return strings.FieldsFunc(os.Getenv(ledger.ChainVar), func(r rune) bool { return r == ':' })
}

// chainOf returns the chain of a process that runs for an attempt. The process is
// inside the attempt or, if there is no attempt yet, inside the first probe. A hook at the
// end of a call is inside of no attempt of it.
func chainOf(at runner.Attempt, place string) string {
	chain := outerAttempts()
	if at.Over || at.Event == string(runner.EventStart) {
		chain = append(chain, hookName(at.ID, place))
	}
	switch {
	case at.Over:
	case at.RunID == "":
		chain = append(chain, unstartedName(at.ID, place))
	case at.Unclaimed:
		chain = append(chain, askedPrefix+at.RunID)
	case at.Event != "":
		chain = append(chain, ledger.ForEvent, at.RunID)
	default:
		chain = append(chain, at.RunID)
	}
	return strings.Join(chain, ":")
}

// insideOf returns the attempts and the probe that a call runs inside of. id is the
// key of the call, in the ledger at place.
func insideOf(id ledger.ID, place string) runner.Inside {
	in := runner.Inside{Attempts: outerAttempts()}
	if len(in.Attempts) == 0 {
		return in
	}
	in.Probe = slices.Contains(in.Attempts, unstartedName(id, place))
	in.Hook = slices.Contains(in.Attempts, hookName(id, place))
	for _, name := range in.Attempts {
		if runID, ok := strings.CutPrefix(name, askedPrefix); ok {
			in.Asked = append(in.Asked, runID)
		}
	}
	return in
}

// askedPrefix begins the name of a question about an attempt that no claim protects.
const askedPrefix = "asked-"

// unstartedName returns the name that a key without an attempt has in a chain. The key
// is in the ledger at place.
func unstartedName(id ledger.ID, place string) string { return "key-" + digestOf(id, place) }

// hookName returns the name that the hooks of a key have in a chain.
func hookName(id ledger.ID, place string) string { return "hook-" + digestOf(id, place) }

// digestOf identifies a key in the ledger at place.
func digestOf(id ledger.ID, place string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{place, id.Namespace, id.Key, id.Window}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// variables returns the variables that a process of an attempt gets.
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

// environ returns the environment of idem with the given variables set. It leaves
// out the variables that an outer idem has set about its attempt.
func environ(set map[string]string) []string { return withVariables(outerEnviron(), set) }

// outerEnviron is environ without variables.
func outerEnviron() []string {
	ofAttempt := append([]string{ledger.RunIDVar, ledger.EventVar, "IDEM_EXIT_CODE", "IDEM_REASON"}, unprotectedLacks...)
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ofAttempt, name)
	})
}

// withVariables returns a copy of env with the given variables set.
func withVariables(env []string, set map[string]string) []string {
	all := make([]string, 0, len(env)+len(set)+3) // an item has some more
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if _, replaced := set[name]; !replaced {
			all = append(all, kv)
		}
	}
	for name, value := range set {
		all = append(all, name+"="+value)
	}
	return all
}

// newRunID returns a UUIDv7, which sorts by time.
func newRunID() string { return uuid.Must(uuid.NewV7()).String() }

// owner returns the owner of the attempts of this process. It is only printed, so an
// unknown host or user is not an error: the host is empty, the user a number.
func owner() ledger.Owner {
	host, _ := os.Hostname()
	o := ledger.Owner{Host: host, PID: os.Getpid(), User: strconv.Itoa(os.Geteuid())}
	if u, err := user.LookupId(o.User); err == nil {
		o.User = u.Username
	}
	return o
}
