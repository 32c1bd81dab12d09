package cmd

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"idem/hashkey"
	"idem/ledger"
)

// mutexFlags are the flags about mutexes.
type mutexFlags struct {
	mutexTexts []string       // as given
	mutexes    []ledger.Mutex // sorted by name; set by parseMutexes
}

func (o *mutexFlags) addTo(f *pflag.FlagSet) {
	f.Var((*texts)(&o.mutexTexts), "mutex", "run the command only while the call holds the mutex `NAME[:N]`, which at most N (default 1) keys of the namespace hold at once; a last part of digits is N; repeatable")
}

// maxPlaces is the largest limit of a mutex. A longer number at the end of a name is
// usually an id.
const maxPlaces = 1000

// parseMutexes parses the values of --mutex.
func (o *mutexFlags) parseMutexes() error {
	o.mutexes = nil
	for _, text := range o.mutexTexts {
		m, err := parseMutex(text)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(o.mutexes, func(other ledger.Mutex) bool { return other.Name == m.Name }) {
			return usage("--mutex names %s twice", quote(m.Name)).hint("leave out one of them")
		}
		o.mutexes = append(o.mutexes, m)
	}
	slices.SortFunc(o.mutexes, func(a, b ledger.Mutex) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// parseMutex parses NAME or NAME:N. The name follows the rules of a key. A last part of
// digits is always N.
func parseMutex(text string) (ledger.Mutex, error) {
	m := ledger.Mutex{Name: text, Limit: 1}
	if name, limit, ok := cutLimit(text); ok {
		m.Name = name
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > maxPlaces {
			return m, usage("--mutex %s: the limit after the last colon is not from 1 to %d", quote(text), maxPlaces).
				hint("if the number is a part of the name: %s", shellLine(flagWords("mutex", text+":1")))
		}
		m.Limit = n
	}
	switch err := hashkey.CheckKey(m.Name, false); {
	case err == nil:
		return m, nil
	case m.Name == "" || errors.Is(err, hashkey.ErrEmptyPart):
		return m, usage("mutex %s %v: a variable may be unset", quote(m.Name), err).hint("write a name without empty parts: --mutex NAME")
	default:
		return m, usage("mutex %s %v", quote(m.Name), err)
	}
}

// cutLimit cuts the last part off a value of --mutex if it consists of digits.
func cutLimit(text string) (name, limit string, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 || i+1 == len(text) || strings.Trim(text[i+1:], "0123456789") != "" {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// mutexText returns the value of --mutex for a mutex.
func mutexText(m ledger.Mutex) string {
	if _, _, ends := cutLimit(m.Name); m.Limit == 1 && !ends {
		return m.Name
	}
	return m.Name + ":" + strconv.Itoa(m.Limit)
}
