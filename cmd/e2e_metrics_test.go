package cmd_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// metricsBox is a box with keys in many states and with odd names, and their metrics in
// the file metrics/idem.prom.
func metricsBox(t *testing.T) *box {
	t.Helper()
	b := newBox(t)
	for _, key := range []string{`quote:"`, `back\slash`, `brace:{a="b"} 1`, "日本", "a:1", "a:2", "a:3", "a:4", "a:5"} {
		b.wantStatus(b.run("run", "--key", key, "--", "true"), 0)
	}
	b.wantStatus(b.run("run", "--key", "failed", "--namespace", `odd "name\`, "--", "false"), 1)
	b.wantStatus(b.run("run", "--key", "backup", "--per", "day", "--", "echo", "done"), 0)
	testMust(t, os.Mkdir(b.path("metrics"), 0o755))
	b.wantStatus(b.run("stats", "--prometheus", "--output", "metrics/idem.prom"), 0)
	return b
}

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	requireTool(t, "promtool")
	b := metricsBox(t)
	for _, flags := range []string{"", " --max-jobs 2"} {
		r := b.sh("idem stats --prometheus" + flags + " >m && promtool check metrics <m 2>&1")
		b.wantStatus(r, 0)
		if r.out != "" {
			t.Errorf("promtool: got %s", r.out)
		}
	}
}

// node_exporter reads the file, and serves each sample as it is.
func TestNodeExporterServesTheMetrics(t *testing.T) {
	requireTool(t, "prometheus-node-exporter")
	b := metricsBox(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	testMust(t, err)
	address := free.Addr().String()
	testMust(t, free.Close())
	node, err := exec.LookPath("prometheus-node-exporter")
	testMust(t, err)
	b.start([]string{node, "--collector.disable-defaults", "--collector.textfile", "--collector.textfile.directory=" + b.path("metrics"), "--web.listen-address=" + address})
	var page string
	b.waitUntil("the page of node_exporter", func() bool {
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		page = string(text)
		return err == nil
	})
	if !strings.Contains(page, "\nnode_textfile_scrape_error 0\n") {
		t.Errorf("got %s", page)
	}
	served := map[string]bool{}
	for line := range strings.SplitSeq(page, "\n") {
		if strings.HasPrefix(line, "idem_") {
			series, _, _ := cutLast(line, " ")
			served[sorted(series)] = true
		}
	}
	n := 0
	for line := range strings.SplitSeq(b.read(filepath.Join("metrics", "idem.prom")), "\n") {
		if series, _, ok := cutLast(line, " "); ok && strings.HasPrefix(line, "idem_") {
			if n++; !served[sorted(series)] {
				t.Errorf("%s is not served, in\n%s", series, page)
			}
		}
	}
	if n != len(served) {
		t.Errorf("got %d series, want %d", len(served), n)
	}
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// sorted returns the bytes of a series in their order: node_exporter sorts the labels.
func sorted(series string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Split(series, ""))), "")
}
