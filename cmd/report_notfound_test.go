package cmd

import "testing"

func TestIsAssignment(t *testing.T) {
	for word, want := range map[string]bool{
		"A=1": true, "_a9=": true, "PATH=/bin:/x": true, "A+=1": true, "A=b=c": true,
		"": false, "=1": false, "9A=1": false, "a-b=1": false, "a b=1": false, "A": false, "--a=1": false, "ä=1": false, "+=1": false,
	} {
		if got := isAssignment(word); got != want {
			t.Errorf("%q: got %v, want %v", word, got, want)
		}
	}
}
