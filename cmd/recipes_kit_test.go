package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// block is a block of code in docs/recipes.md.
type block struct {
	section string // the heading that it is under
	lang    string
	file    string // of file=NAME behind the language: what the text is the content of
	text    string
}

// readBlocks returns the blocks of a Markdown file in order.
func readBlocks(t *testing.T, file string) []block {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var open *block
	section := ""
	for line := range strings.Lines(string(page)) {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open != nil:
			all = append(all, *open)
			open = nil
		case isFence:
			open = &block{section: section}
			open.lang, open.file, _ = strings.Cut(strings.TrimSpace(fence), " file=")
		case open != nil:
			open.text += line
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(line[3:])
		}
	}
	if open != nil || len(all) == 0 {
		t.Fatalf("%s: %d blocks, or the last one has no end", file, len(all))
	}
	return all
}

// pageBlock returns the code of the first block of a Markdown file that contains
// a text.
func pageBlock(t *testing.T, file, with string) string {
	t.Helper()
	for _, b := range readBlocks(t, file) {
		if strings.Contains(b.text, with) {
			return b.text
		}
	}
	t.Fatalf("%s has no block with %s", file, with)
	return ""
}

// kitchen is a box in which the blocks of one recipe are run.
type recipeBox struct {
	*box
	left []block // not used yet
}

// take returns the recipe's next block, which must be in lang.
func (k *recipeBox) nextBlock(lang string) block {
	k.t.Helper()
	if len(k.left) == 0 || k.left[0].lang != lang {
		k.t.Fatalf("the next block is not in %s: %+v", lang, k.left)
	}
	b := k.left[0]
	k.left = k.left[1:]
	return b
}

func (k *recipeBox) setenv(name, value string) { k.env = append(k.env, name+"="+value) }

// script writes an executable file into the box, whose path is in PATH too.
func (k *recipeBox) script(name, text string) string {
	k.t.Helper()
	if !strings.HasPrefix(text, "#!") {
		text = "#!/bin/sh\n" + text + "\n"
	}
	k.write(name, text)
	path := k.path(name)
	if err := os.Chmod(path, 0o755); err != nil {
		k.t.Fatal(err)
	}
	return path
}

// cook runs text as bash would, with -u: a recipe uses no unset variable.
func (k *recipeBox) runRecipe(text string) result {
	k.t.Helper()
	return k.startRecipe(text).wait()
}

// serve begins what cook does.
func (k *recipeBox) startRecipe(text string) *call {
	k.t.Helper()
	return k.start([]string{"bash", "-u", "-c", text})
}

func newRecipeBox(t *testing.T, blocks []block) *recipeBox {
	k := &recipeBox{box: newBox(t), left: blocks}
	for i, kv := range k.env {
		if path, ok := strings.CutPrefix(kv, "PATH="); ok {
			k.env[i] = "PATH=" + filepath.Join(k.dir) + ":" + path
		}
	}
	return k
}
