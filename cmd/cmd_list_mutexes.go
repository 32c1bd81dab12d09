package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"idem/ledger"
)

// mutexView is a mutex in JSON.
type mutexView struct {
	Schema    int       `json:"schema"`
	Namespace string    `json:"namespace"`
	Mutex     string    `json:"mutex"`
	Limit     int       `json:"limit"` // of the holders; 0 without one
	Holders   []useView `json:"holders"`
	Waiters   []useView `json:"waiters"` // the first in line first
}

// useView is a call that holds a mutex or waits for it, in JSON.
type useView struct {
	State  string `json:"state"` // holds, left or waits
	Key    string `json:"key"`
	Window string `json:"window"`
	RunID  string `json:"run_id"` // empty for a waiter
	Since  string `json:"since"`
	Host   string `json:"host"`
	PID    int    `json:"pid"`
	User   string `json:"user"`
	since  time.Time
}

func viewUses(uses []ledger.MutexUse, state string) []useView {
	views := []useView{}
	for _, u := range uses {
		v := useView{
			State: state, Key: u.ID.Key, Window: u.ID.Window, RunID: u.RunID, Since: eventTime(u.Since),
			Host: u.Owner.Host, PID: u.Owner.PID, User: u.Owner.User, since: u.Since,
		}
		if u.Leftover {
			v.State = "left"
		}
		views = append(views, v)
	}
	return views
}

// heldView is a mutex that the call of a key holds or waits for, in JSON.
type heldView struct {
	Mutex string `json:"mutex"`
	State string `json:"state"` // holds, left or waits
}

// mutexesOf returns the mutexes that the call of a key holds or waits for.
func mutexesOf(ctx context.Context, l ledger.Ledger, id ledger.ID) ([]heldView, error) {
	held := []heldView{}
	states, err := l.Mutexes(ctx, id.Namespace)
	for _, s := range states {
		for _, u := range slices.Concat(viewUses(s.Holders, "holds"), viewUses(s.Waiters, "waits")) {
			if u.Key == id.Key && u.Window == id.Window {
				held = append(held, heldView{s.Name, u.State})
			}
		}
	}
	return held, err
}

// listMutexes prints the mutexes in use of a namespace or, without one, of all.
func (a *app) listMutexes(ctx context.Context, l ledger.Ledger, o *listOptions) error {
	states, err := l.Mutexes(ctx, a.namespace)
	if err != nil {
		return err
	}
	views := []mutexView{}
	for _, s := range states {
		views = append(views, mutexView{
			Schema: metaSchema, Namespace: s.Namespace, Mutex: s.Name, Limit: s.Limit,
			Holders: viewUses(s.Holders, "holds"), Waiters: viewUses(s.Waiters, "waits"),
		})
	}
	if o.json || o.jsonl {
		return printViews(a, views, o.jsonl)
	}
	var b strings.Builder
	if !isTerminal(a.ui.stdout) {
		for _, v := range views {
			for _, u := range slices.Concat(v.Holders, v.Waiters) {
				fmt.Fprintln(&b, strings.Join([]string{
					escape(v.Mutex), v.places(), u.State, escape(u.Key), stamp(u.since), u.by(), escape(v.Namespace), escape(u.Window),
				}, "\t"))
			}
		}
		return a.print(b.String())
	}
	t := &screenTable{to: &b, width: widthOf(a.ui.stdout), columns: []column{
		{"MUTEX", false, always},
		{"PLACES", true, always},
		{"STATE", false, always},
		{"SINCE", true, always},
		{"BY", false, always},
		{"NAMESPACE", false, several},
		{"WINDOW", false, filled},
		{"KEY", false, always},
	}}
	for _, v := range views {
		for _, u := range slices.Concat(v.Holders, v.Waiters) {
			_ = t.add(screenRow{texts: []string{ // into memory
				escape(v.Mutex), v.places(), u.State, ageText(a.now().Sub(u.since)), u.by(), escape(v.Namespace), escape(u.Window), escape(u.Key),
			}})
		}
	}
	_ = t.flush()
	return a.printPage(b.String())
}

// places returns how many places are taken, and the limit if there is a holder.
func (v mutexView) places() string {
	if v.Limit == 0 {
		return "0/-"
	}
	return fmt.Sprintf("%d/%d", len(v.Holders), v.Limit)
}

func (u useView) by() string { return escape(fmt.Sprintf("%s@%s:%d", u.User, u.Host, u.PID)) }
