package batch

import (
	"errors"
	"hash/maphash"
	"io"
	"time"

	"idem/items"
	"idem/ledger"
	"idem/runner"
)

// readAll reads the items. It hands those that may have to run on to the intake.
func (s *scheduler) readAll() {
	for !s.stopping.Load() {
		if s.Printer != nil && s.Printer.Wait(s.taking) != nil {
			break
		}
		item, err := s.Next()
		if err != nil {
			if !s.badLine(err) {
				break
			}
			continue
		}
		s.read.Add(1)
		s.offset.Store(item.End)
		skipped := s.skips(item) && !s.ReplayAll && !s.Skips
		again := false
		// An item that is skipped is remembered only if a later one of its key might run.
		if !skipped || s.Policy.OnMismatch == runner.ChoiceRerun {
			again = garbage.remember(&s.seen, maphash.String(s.seed, item.ID.Key))
		}
		if skipped {
			s.skipped.Add(1)
			continue
		}
		u := &unit{Entry: item, again: again}
		if !s.intake.push(u) {
			break
		}
		s.mu.Lock()
		s.advance()
		s.mu.Unlock()
	}
}

// badLine handles an error of the source and reports whether reading goes on.
func (s *scheduler) badLine(err error) bool {
	var bad *items.BadLine
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.advance()
	switch {
	case errors.Is(err, io.EOF):
		s.ended = true
		return false
	case errors.As(err, &bad):
		s.result.BadLines++
		s.notify(Notice{Kind: KindBad, Entry: Entry{Item: items.Item{Line: bad.Line}}, Err: bad})
		if s.SkipBad && !bad.Last {
			return true
		}
	}
	s.result.Input = err
	s.ended = true // those before it run, however far ahead they were read
	return false
}

// survey is what the ledger knew at one moment about all items of the batch.
type survey struct {
	ledger.Successes
	at time.Time // before it was read
}

// surveyAfter is the number of items that a batch finds done, one by one, after which it
// reads the survey.
const surveyAfter = 1000

// surveyAge is how long a survey counts. Items may be forgotten while a batch runs, and its
// list may be a stream without an end.
const surveyAge = time.Minute

// skips reports whether an item need not be taken, because the survey has its success.
func (s *scheduler) skips(e Entry) bool {
	known := s.survey.Load()
	if known == nil {
		return false
	}
	now := s.Clock.Now()
	if now.Sub(known.at) > surveyAge {
		if s.survey.CompareAndSwap(known, nil) {
			garbage.add(-known.Bytes())
		}
		return false
	}
	if !known.Has(e.ID, e.Fingerprint) {
		return false
	}
	rec := ledger.Record{ID: e.ID, Generation: 1, Attempts: 1, Current: ledger.Attempt{
		Number: 1, RunID: "survey", State: ledger.Succeeded, Fingerprint: e.Fingerprint,
	}}
	d := runner.Decide(rec, e.Fingerprint, s.Policy, runner.Moment{
		Now: now, Baseline: runner.Baseline{Generation: 1, Attempts: 1, RunID: rec.Current.RunID},
	})
	return d == runner.Decision{Action: runner.ActionReplay, Reason: runner.ReasonSucceeded}
}

// largeSurvey is the memory in bytes that a survey may need. It is that of a million items.
const largeSurvey = 12 << 20

// lookAtAll begins the survey when it is worth its cost.
func (s *scheduler) lookAtAll() {
	all, ok := s.Runner.Ledger.(ledger.Surveying)
	found := s.result.Counts[DoneBefore]
	if !ok || s.surveying || s.survey.Load() != nil || found-s.surveyed < surveyAfter || s.Parent == (ledger.ID{}) {
		return
	}
	s.surveying, s.surveyed = true, found
	at := s.Clock.Now()
	go func() {
		garbage.add(largeSurvey)
		known, err := all.Successes(s.taking, s.Parent)
		if err == nil { // else the items are looked up one by one, which finds the fault if it concerns them
			garbage.add(known.Bytes())
			s.survey.Store(&survey{known, at})
		}
		garbage.add(-largeSurvey)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.surveying = false
		s.advance()
	}()
}
