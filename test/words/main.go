// Words checks the language of documents, help output and comments against
// the rules in rules.go:
//
//	go run ./test/words [PATH...]
//
// It prints each finding as FILE:LINE: RULE: TEXT and exits with 1 if there is
// one. In a directory it reads all Markdown and Go files and shell scripts
// below; without a PATH it reads the current directory.
package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	paths := os.Args[1:]
	if len(paths) == 0 {
		paths = []string{"."}
	}
	n, err := run(os.Stdout, paths)
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(2)
	}
	if n > 0 {
		os.Exit(1)
	}
}

// run prints the findings in all paths and returns their number.
func run(out io.Writer, paths []string) (int, error) {
	n := 0
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if base := entry.Name(); name != path && (base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".")) {
					return filepath.SkipDir
				}
				return nil
			}
			content, err := os.ReadFile(name)
			if err != nil || name != path && !isText(name, content) {
				return err
			}
			pieces, err := read(name, string(content))
			if err != nil {
				return err
			}
			var found []finding
			for _, p := range pieces {
				found = append(found, check(p)...)
			}
			slices.SortStableFunc(found, func(a, b finding) int { return a.line - b.line })
			for _, f := range found {
				if _, err := fmt.Fprintf(out, "%s:%d: %s: %s\n", name, f.line, f.rule, f.text); err != nil {
					return err
				}
			}
			n += len(found)
			return nil
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// isText reports whether a file of a directory is checked.
func isText(name string, content []byte) bool {
	switch filepath.Ext(name) {
	case ".go", ".md", ".sh":
		return true
	}
	head, _, _ := strings.Cut(string(content[:min(len(content), 64)]), "\n")
	return strings.HasPrefix(head, "#!") && strings.HasSuffix(strings.TrimSpace(head), "sh")
}
