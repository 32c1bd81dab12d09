package cmd

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A release build knows its version and its commit without a stamp of git.
func TestVersionOfARelease(t *testing.T) {
	linkedVersion, linkedCommit, linkedDate = "1.2.3", "0123456789abcdef0123456789abcdef01234567", "2026-11-30T12:00:00Z"
	t.Cleanup(func() { linkedVersion, linkedCommit, linkedDate = "", "", "" })
	if got, want := readBuild().String(), "1.2.3 (0123456789ab, 2026-11-30)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	text, err := json.Marshal(viewVersion())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"schema", "go", "platform", "shared"} {
		delete(got, name)
	}
	want := map[string]any{"version": "1.2.3", "commit": linkedCommit, "date": linkedDate, "dirty": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
