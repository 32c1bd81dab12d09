package report

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"idem/internal/testkit"
	"idem/ledger"
)

// chromium returns the path of the browser.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		testkit.Missing(t, "chromium (Debian package chromium)")
	}
	return path
}

// TestPageInBrowser uses the page of a month in a browser, see page.test.mjs.
func TestPageInBrowser(t *testing.T) {
	testkit.Slow(t, "a browser")
	browser := chromium(t)
	node, err := exec.LookPath("node")
	if err != nil {
		testkit.Missing(t, "node (Debian package nodejs)")
	}
	tools, err := filepath.Abs("../scripts/tools/web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tools + "/node_modules/playwright-core"); err != nil {
		testkit.Missing(t, "playwright-core (npm ci in scripts/tools/web)")
	}
	o := optionsOf()
	o.OutputLines = 3
	path := written(t, collected(t, month(), o))
	c := exec.CommandContext(t.Context(), node, "--test", "page.test.mjs")
	c.Dir = tools
	c.Env = append(os.Environ(), "PAGE="+path, "CHROMIUM="+browser)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// dumpedDOM returns the HTML of a page after its script has run.
func dumpedDOM(t *testing.T, path, hash string) string {
	t.Helper()
	var stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), chromium(t), "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+path+hash)
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return string(out)
}

// TestHostileTextsStayText has keys, notes, hosts and outputs that try to become markup.
func TestHostileTextsStayText(t *testing.T) {
	testkit.Slow(t, "a browser")
	h := newHistory()
	for i, text := range hostileTexts {
		rec := h.run(ledger.ID{Namespace: text, Key: text, Window: text}, made.Add(-time.Hour), time.Minute, bad)
		rec.Current.Owner.Host, rec.Current.Note = text, text
		h.outputs[rec.Current.RunID] = text
		h.entries[i].Attempt.Owner.Host = text
	}
	o := optionsOf()
	o.OutputLines, o.Args = 2, true
	o.Inputs = func(ledger.Attempt) (string, string) { return hostileTexts[0], hostileTexts[1] }
	r := collected(t, h.fixture, o)
	r.Title, r.Ledger = hostileTexts[0], hostileTexts[1]
	for _, hash := range []string{"", "#q=" + hostileTexts[0]} {
		dom := dumpedDOM(t, written(t, r), hash)
		if strings.Contains(dom, "pwned</title>") || strings.Contains(dom, "<img") || strings.Contains(dom, "<b>bold") {
			t.Errorf("got markup from a text of the ledger in %s", dom)
		}
		if !strings.Contains(dom, `data-key="`) {
			t.Errorf("got no row in %s, want those of the script", dom)
		}
	}
}

// hostileTexts try to leave their place in HTML, JSON or a script, or to run.
var hostileTexts = []string{
	`</script><script>document.title="pwned"</script>`,
	`"><img src=x onerror=document.title='pwned'>`,
	`<!--<script>`,
	`]]>{{script}}{{data}}`,
	"a\u2028b\u2029c",
	`\u003c/script><b>bold`,
	`javascript:document.title='pwned'`,
	`__proto__`,
	`$&$1'"` + "`",
}
