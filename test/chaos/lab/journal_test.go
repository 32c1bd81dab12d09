package lab

import (
	"slices"
	"testing"
)

func TestJournalRoundTrip(t *testing.T) {
	path := t.TempDir() + "/j"
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Event{{Kind: Called, Call: "k/1.2"}, {Kind: Ended, Call: "k/1.2", Run: "r", Code: -9}, {Kind: Marked}}
	j.Add(want[0])
	if _, err := j.F.WriteString("\nend k/1.2 r"); err != nil { // a process was killed here
		t.Fatal(err)
	}
	j.Add(want[1])
	j.Add(want[2])
	got, err := ReadJournal(path)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}
