package pgtest

import "testing"

func TestQuery(t *testing.T) {
	s := Shared(t)
	if got := s.Query(t, "select 1, 'a' union all select 2, null order by 1"); got != "1|a\n2|" {
		t.Errorf("got %q", got)
	}
}
