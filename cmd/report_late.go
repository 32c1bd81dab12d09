package cmd

import (
	"context"

	"idem/ledger"
)

// lateView is an outcome that came too late, in JSON.
type lateView struct {
	RunID    string  `json:"run_id"`
	State    string  `json:"state"`
	Reason   *string `json:"end_reason"`
	ExitCode *int    `json:"exit_code"`
	Signal   *string `json:"signal"`
	EndedAt  *string `json:"ended_at"`
	Host     string  `json:"host"`
}

// lateOf returns the outcomes that came too late, from a ledger that can have some.
func lateOf(ctx context.Context, l ledger.Ledger, id ledger.ID) ([]ledger.Attempt, error) {
	belated, ok := l.(ledger.Belated)
	if !ok {
		return nil, nil
	}
	return belated.Late(ctx, id)
}

func viewLate(late []ledger.Attempt) []lateView {
	var views []lateView
	for _, at := range late {
		v := viewAttempt(at, string(at.State))
		views = append(views, lateView{v.RunID, v.State, v.Reason, v.ExitCode, v.Signal, v.EndedAt, v.Host})
	}
	return views
}
