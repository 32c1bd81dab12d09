package postgres

import "context"

// Check examines the ledger at a URL and changes nothing.
func Check(ctx context.Context, place string, o ConnectOptions) (r Report, err error) {
	l, err := o.open(place)
	if err != nil {
		return r, err
	}
	defer l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	m, err := l.readMeta(ctx)
	if err == nil {
		r.add(LevelOK, "format", "%d", m.format)
	}
	return r, err
}
