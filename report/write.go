package report

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
)

// page has the parts of a page. The order of the names is that of the parts.
//
//go:embed page
var page embed.FS

// part joins the files of the page with an extension.
func part(ext string) string {
	entries, err := page.ReadDir("page")
	var b strings.Builder
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ext) {
			continue
		}
		text, readErr := page.ReadFile("page/" + e.Name())
		if readErr != nil {
			err = readErr
		}
		b.Write(text)
	}
	if err != nil { // the files are in the program
		panic(err)
	}
	return b.String()
}

// policy permits the style and the script and nothing else.
func policy(style, script string) string {
	sum := func(text string) string {
		hash := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
	}
	return fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", sum(style), sum(script))
}

// Write writes the page. The errors are those of w.
func (r *Report) Write(to io.Writer) error {
	style, script := part(".css"), part(".js")
	rows, n := r.runRows()
	parts := map[string]string{
		"policy": policy(style, script), "style": style, "script": script,
		"title": esc(r.Title), "about": r.about(), "counts": r.counts(), "attention": r.attention(),
		"lanes": r.lanes(), "runs": rows, "runstitle": fmt.Sprintf("Keys that did not succeed (%s)", grouped(n)), "foot": r.foot(),
	}
	w := bufio.NewWriterSize(to, 1<<16)
	rest := part(".html")
	for rest != "" {
		text, after, _ := strings.Cut(rest, "{{")
		name, tail, _ := strings.Cut(after, "}}")
		rest = tail
		_, _ = w.WriteString(text) // Flush returns the error
		if name != "data" {
			_, _ = w.WriteString(parts[name])
			continue
		}
		if err := r.writeIsland(w); err != nil {
			return err
		}
	}
	return w.Flush()
}
