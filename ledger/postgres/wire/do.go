package wire

import (
	"context"

	"idem/internal/combine"
)

// request is a call of Do that waits for its turn.
type request struct {
	ctx   context.Context
	mode  Mode
	stmts []*Stmt
	err   error
}

// Do sends statements in one round trip, as one transaction, perhaps together with those of
// other calls. With an error, nothing was committed, except with an *UnknownError: then it may
// have been. The functions Each are called only without an error of the server.
//
// If ctx ends while the statements are at the server, Do returns early only if they were sent
// alone.
func (s *Session) Do(ctx context.Context, m Mode, stmts ...*Stmt) error {
	r := &request{ctx: ctx, mode: m, stmts: stmts, err: errUnserved}
	s.requests.Do(r, combine.AnnouncementIn(ctx))
	if r.err != nil {
		return r.err
	}
	return deliver(stmts)
}

// Alone is Do without other requests. It does not wait for announced ones, so the caller may hold
// a lock that these need.
func (s *Session) Alone(ctx context.Context, m Mode, stmts ...*Stmt) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	r := &request{ctx: ctx, mode: m, stmts: stmts}
	err := s.send([]*request{r})
	s.unlock()
	if err != nil {
		return err
	}
	return deliver(stmts)
}

// Together calls changes at the same time. See ledger.Grouping.
func (s *Session) Together(ctx context.Context, changes ...func(ctx context.Context)) {
	combine.Together(ctx, s.requests, changes...)
}

// Withdraw says that the caller's change, announced by Together, may not come soon.
func (s *Session) Withdraw(ctx context.Context) { s.requests.Withdraw(combine.AnnouncementIn(ctx)) }

// serve sends the requests that wait. If the server refuses several together, each is sent
// alone, because the error need not concern all of them.
func (s *Session) serve(take func() []*request) {
	_ = s.lock(context.Background())
	defer s.unlock()
	var group []*request
	for _, r := range take() {
		if r.err = r.ctx.Err(); r.err == nil { // several requests are sent with another context
			group = append(group, r)
		}
	}
	if len(group) == 0 {
		return
	}
	if err := s.send(group); err != nil && len(group) > 1 && rolledBack(err) {
		for i := range group {
			group[i].err = s.send(group[i : i+1])
		}
	}
}

// send sends requests as one transaction and sets their errors.
func (s *Session) send(group []*request) error {
	err := s.sendNow(group)
	for _, r := range group {
		r.err = err
	}
	return err
}

func (s *Session) sendNow(group []*request) error {
	ctx, cancel := groupContext(group)
	defer cancel()
	mode := Read
	var stmts [][]*Stmt
	for _, r := range group {
		mode = max(mode, r.mode)
		stmts = append(stmts, r.stmts)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.connected(ctx); err != nil {
		return err
	}
	preamble := &merged{sql: mode.preamble(), parts: []*Stmt{{}}}
	return s.sent(mode, exchange(ctx, s.conn, append([]*merged{preamble}, merge(stmts)...)))
}

// groupContext returns the context of the only request, or one that ends at the latest deadline
// of several.
func groupContext(group []*request) (context.Context, context.CancelFunc) {
	if len(group) == 1 {
		return group[0].ctx, func() {}
	}
	end, ok := group[0].ctx.Deadline()
	for _, r := range group {
		d, has := r.ctx.Deadline()
		if ok = ok && has; d.After(end) {
			end = d
		}
	}
	if !ok {
		return context.Background(), func() {}
	}
	return context.WithDeadline(context.Background(), end)
}
