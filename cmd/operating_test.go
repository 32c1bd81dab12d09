package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`idem_(keys|job)\w*`)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestOperatingPage runs all shell blocks of docs/operating.md, in their order, on one ledger.
func TestOperatingPage(t *testing.T) {
	page, err := os.ReadFile("../docs/operating.md")
	testMust(t, err)
	dir := t.TempDir()
	script := "set -eu\nidem run --key deploy:1 -- echo deployed\nidem run --key backup --per day -- echo saved\n"
	blocks := shellBlock.FindAllSubmatch(page, -1)
	if len(blocks) < 6 {
		t.Fatalf("got %d blocks, want at least 6", len(blocks))
	}
	for _, b := range blocks {
		script += string(b[1])
	}
	c := exec.Command("sh", "-c", script)
	c.Dir = dir
	c.Env = []string{"HOME=" + dir, "IDEM_LEDGER=" + filepath.Join(dir, "ledger"), "PATH=" + binary() + ":/usr/bin:/bin"}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"jobs.html", "idem.prom", "ledger.tar", "copy/MOVED", "moved/ledger.db", "deploys.jsonl", "other/ledger.db"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	metrics, err := os.ReadFile(filepath.Join(dir, "idem.prom"))
	testMust(t, err)
	readme, err := os.ReadFile(readmeFile)
	testMust(t, err)
	for _, name := range metricName.FindAllString(string(page)+string(readme), -1) {
		if !strings.Contains(string(metrics), "\n"+name) {
			t.Errorf("got no metric %s, want it", name)
		}
	}
}
