package cmd_test

import (
	"strings"
	"testing"
)

// The disk fails while the beginning is made durable. Nothing is started, and
// the message says that a later call may find the key interrupted.
func TestE2EDiskFailsAtTheBeginning(t *testing.T) {
	t.Parallel()
	requireTool(t, "strace")
	b := newBox(t)
	b.wantStatus(b.run("run", "--key", "first", "--", "true"), 0)
	run := []string{"run", "--key", "k", "--", "sh", "-c", "echo x >>side"}
	failing := append([]string{"strace", "-f", "-qq", "-o", b.path("strace"), "-e", "inject=fsync,fdatasync:error=EIO", "idem"}, run...)
	r := b.wantStatus(b.start(failing).wait(), 69)
	if !strings.Contains(r.err, "nothing was started, but the key may now count as interrupted") {
		t.Errorf("stderr: got %q, want it with %q", r.err, "nothing was started, but the key may now count as interrupted")
	}
	b.wantStatus(b.run(run...), 79)
	b.wantLines("side", 0)
	b.wantStatus(b.run("mark", "retry", "k"), 0)
	b.wantStatus(b.run(run...), 0)
	b.wantLines("side", 1)
}
