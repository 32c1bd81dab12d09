package cmd

import (
	"fmt"

	"idem/ledger"
	"idem/runner"
)

// maxHolders is how many calls that use a mutex a message lists.
const maxHolders = 3

// mutexFailure returns the failure of a call whose mutex has no free place.
func mutexFailure(res runner.Result, call runner.Call) *failure {
	f := fail(exitBusy, "%s", mutexHeldText(res.Mutex))
	f.mutexDetails(res.Mutex.State)
	if list := processes(res.Holders); list != "" {
		f.detail("still alive: %s", list)
	}
	return f.hintWait(call, "to wait for it")
}

// mutexHeldText says why a call cannot take a mutex, as a sentence.
func mutexHeldText(e *ledger.MutexError) string {
	name, s := quote(e.Mutex.Name), e.State
	switch {
	case len(s.Holders) == 0 && len(s.Waiters) == 0:
		return fmt.Sprintf("mutex %s was taken by another call", name)
	case len(s.Holders) == 0:
		return fmt.Sprintf("mutex %s is waited for by %s", name, keyText(s.Waiters[0].ID))
	case s.Limit != e.Mutex.Limit:
		return fmt.Sprintf("mutex %s is held with the limit %d, and this call has the limit %d", name, s.Limit, e.Mutex.Limit)
	case len(s.Holders) < s.Limit: // the line is first
		return fmt.Sprintf("mutex %s is waited for by other calls", name)
	case s.Limit > 1:
		return fmt.Sprintf("mutex %s has no free place: %d of %d are taken", name, len(s.Holders), s.Limit)
	case s.Holders[0].Leftover:
		return fmt.Sprintf("mutex %s is held by processes of %s", name, keyText(s.Holders[0].ID))
	default:
		return fmt.Sprintf("mutex %s is held by %s", name, keyText(s.Holders[0].ID))
	}
}

// mutexDetails adds the calls that use a mutex.
func (f *failure) mutexDetails(s ledger.MutexState) {
	for _, text := range usesTexts(s) {
		f.detail("%s", text)
	}
}

// usesTexts describes the calls that use a mutex: its holders or, without any, those that
// wait.
func usesTexts(s ledger.MutexState) []string {
	uses := s.Holders
	if len(uses) == 0 {
		uses = s.Waiters
	}
	var texts []string
	for i, u := range uses {
		if i == maxHolders {
			return append(texts, fmt.Sprintf("and %d more, which idem list --mutexes lists", len(uses)-i))
		}
		texts = append(texts, useText(u))
	}
	return texts
}

// useText describes a call that holds a mutex or waits for it.
func useText(u ledger.MutexUse) string {
	verb := "waits"
	switch {
	case u.Leftover:
		verb = "left processes behind, and has held it"
	case u.RunID != "":
		verb = "holds it"
	}
	return fmt.Sprintf("%s %s since %s %s", keyText(u.ID), verb, timeText(u.Since), ownerText(u.Owner))
}

func keyText(id ledger.ID) string { return "key " + quote(id.Key) + inWindow(id) }

// outerMutexFailure returns the failure of a call that would wait for a mutex that the
// command around it holds.
func outerMutexFailure(e *ledger.MutexError) *failure {
	f := usage("mutex %s cannot be taken before the command around this call ends", quote(e.Mutex.Name))
	f.mutexDetails(e.State)
	return f.hintUnflagged("the outer call holds it; here", shellLine(flagWords("mutex", mutexText(e.Mutex))))
}

// queuedFailure returns the failure for a key whose call waits for a mutex.
func queuedFailure(res runner.Result, call runner.Call) *failure {
	f := fail(exitBusy, "key %s is held by a call that waits for mutex %s", quote(call.ID.Key), quote(res.Queued.Name))
	f.mutexDetails(*res.Queued)
	return f.hintShare(call)
}

// mutex prints the note for a mutex without a free place.
func (w *waiting) mutex(e *ledger.MutexError) {
	if w.say("waiting for mutex %s", quote(e.Mutex.Name)) {
		for _, text := range usesTexts(e.State) {
			w.ui.say(detailMark, "%s", text)
		}
	}
}
