package cmd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLedgerPageHasEveryFile checks that docs/ledger.md names each file of a ledger, and each
// type and field of an export.
func TestLedgerPageHasEveryFile(t *testing.T) {
	page, err := os.ReadFile("../docs/ledger.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	idem := func(args ...string) []byte {
		t.Helper()
		c := exec.Command(filepath.Join(binary(), "idem"), args...)
		c.Env = []string{"HOME=" + dir, "IDEM_LEDGER=" + filepath.Join(dir, "ledger"), "PATH=/usr/bin:/bin", "X=1"}
		c.Stderr = os.Stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("idem %q: %v", args, err)
		}
		return out
	}
	idem("run", "--key", "k", "--hash-env", "X", "--replay-file", filepath.Join(dir, "file"), "--", "sh", "-c", "echo out; echo text >>"+filepath.Join(dir, "file"))
	idem("run", "--key", "gone", "--", "true")
	idem("forget", "gone")
	names := map[string]bool{}
	for line := range strings.Lines(string(idem("ledger", "export", "--outputs"))) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		names[fields["type"].(string)] = true
		for name := range fields {
			names[name] = true
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "ledger"))
	if err != nil || len(files) < 5 || len(names) < 40 {
		t.Fatalf("got error %v, %d files and the fields %v, want a ledger and an export", err, len(files), names)
	}
	for _, f := range files {
		names[f.Name()+map[bool]string{true: "/"}[f.IsDir()]] = true
	}
	for name := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/ledger.md: got no %s, want it", name)
		}
	}
}
