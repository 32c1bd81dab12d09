//go:build postgres

package cmd_test

import (
	"strings"
	"testing"
)

// The file system of this host's directory is full or read-only. The hint is about this host, not
// about the server.
func TestSharedHintsAboutTheLocalDisk(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]string{
		"1m,nr_inodes=4": "free space on this host, then call again",
		"1m,ro":          "STATE_DIRECTORY chooses it",
	} {
		b := newBox(t)
		dir := b.mountLedger(options)
		place, err := sharedDirect(t).newLedger(t)
		testMust(t, err)
		b.setLedger(place)
		b.env = append(b.env, "STATE_DIRECTORY="+dir)
		if r := b.run("run", "--key", "k", "--", "touch", "ran"); r.code != 69 || !strings.Contains(r.err, want) || b.run("show", "k").code != 1 {
			t.Errorf("%s: got status %d and %q, want 69 and %q", options, r.code, r.err, want)
		}
	}
}
