package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"idem/ledger"
)

// A key with many attempts has many pages. A page that does not seek its first attempt makes
// the cost quadratic.
func TestPagesOfHistoriesSeekTheirFirstAttempt(t *testing.T) {
	l := opened(t, fresh(t))
	var want []string
	for i := range 4 * historyPage {
		id := fmt.Sprintf("r%d", i)
		want = append(want, id)
		runs(t, l, theKey, id, nil, failure)
	}
	runs(t, l, ledger.ID{Namespace: theKey.Namespace, Key: "other"}, "last", nil, success)
	for _, namespace := range []string{"", theKey.Namespace} {
		var got []string
		for e, err := range l.Histories(context.Background(), namespace) {
			must(t, err)
			if e.ID == theKey {
				got = append(got, e.Attempt.RunID)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("namespace %q: got %q, want %q", namespace, got, want)
		}
	}

	db, err := l.database(context.Background())
	must(t, err)
	for _, c := range []struct {
		h    historian
		want []string
	}{
		{historian{lastRecord: 1}, []string{"SEARCH r USING INTEGER PRIMARY KEY (rowid>?)", "SEARCH a USING INDEX attempts_record (record=?)"}},
		{historian{lastRecord: 1, lastAttempt: 3}, []string{"SEARCH r USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH a USING INDEX attempts_record (record=? AND rowid>?)"}},
	} {
		statement, args := c.h.query()
		rows, err := db.QueryContext(context.Background(), "explain query plan "+statement, args...)
		must(t, err)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		must(t, rows.Err())
		must(t, rows.Close())
		if !slices.Equal(plan, c.want) {
			t.Errorf("after attempt %d: got the plan %q, want %q", c.h.lastAttempt, plan, c.want)
		}
	}
}

// TestHistoriesOfAKeyThatGrows runs an interrupted key again, when its page has been read but
// not yielded. It has more attempts then, and the keys after it are yielded nevertheless.
func TestHistoriesOfAKeyThatGrows(t *testing.T) {
	defer func(was int) { historyPage = was }(historyPage)
	historyPage = 10
	l := opened(t, fresh(t))
	var ids []ledger.ID
	for _, key := range []string{"a", "b", "c"} {
		ids = append(ids, ledger.ID{Namespace: "default", Key: key})
	}
	slices.SortFunc(ids, func(a, b ledger.ID) int { return cmp.Compare(numberOf(a), numberOf(b)) })
	for i, id := range ids {
		c, err := l.Claim(t.Context(), id)
		must(t, err)
		e, err := c.Begin(t.Context(), ledger.Start{RunID: id.Key + "1"})
		must(t, err)
		if i != 1 {
			_, err = e.Finish(t.Context(), success)
			must(t, err)
		}
		must(t, c.Release())
	}
	var got, want []string
	for _, id := range ids {
		want = append(want, id.Key+"1")
		if id == ids[1] {
			want = append(want, id.Key+"2")
		}
	}
	for e, err := range l.Histories(t.Context(), "") {
		must(t, err)
		if len(got) == 0 {
			runs(t, l, ids[1], ids[1].Key+"2", nil, success)
		}
		got = append(got, e.Attempt.RunID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
