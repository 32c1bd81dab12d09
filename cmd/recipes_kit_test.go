package cmd_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is a block of code in docs/recipes.md or another page of recipes.
type block struct {
	section string // the heading above it
	lang    string
	file    string // the NAME of file=NAME after the language: the file that has this content
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
		t.Fatalf("%s: got %d blocks, want some and an end of the last one", file, len(all))
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
	t.Fatalf("%s: got no block with %s, want one", file, with)
	return ""
}

// cookPage checks the blocks of a page with the check of their section.
func cookPage(t *testing.T, page string, recipes map[string]func(*recipeBox)) {
	blocks := readBlocks(t, page)
	for _, b := range blocks {
		if recipes[b.section] == nil {
			t.Errorf("%q: got a block without a check, want one", b.section)
		}
	}
	for section, cook := range recipes {
		t.Run(section, func(t *testing.T) {
			t.Parallel()
			of := func(b block) bool { return b.section != section }
			k := newRecipeBox(t, slices.DeleteFunc(slices.Clone(blocks), of))
			k.t = t
			cook(k)
			if len(k.left) > 0 {
				t.Errorf("got the unused blocks %+v, want none", k.left)
			}
		})
	}
}

// recipeBox is a box in which the blocks of one recipe are run.
type recipeBox struct {
	*box
	left []block // not run yet
}

// nextBlock returns the recipe's next block, which must be in lang.
func (k *recipeBox) nextBlock(lang string) block {
	k.t.Helper()
	if len(k.left) == 0 || k.left[0].lang != lang {
		k.t.Fatalf("got the blocks %+v, want the next one in %s", k.left, lang)
	}
	b := k.left[0]
	k.left = k.left[1:]
	return b
}

func (k *recipeBox) setenv(name, value string) { k.env = append(k.env, name+"="+value) }

// runRecipe runs text as bash does, with -u, because a recipe uses no unset
// variable.
func (k *recipeBox) runRecipe(text string) result {
	k.t.Helper()
	return k.startRecipe(text).wait()
}

// startRecipe starts what runRecipe runs, and does not wait for its end.
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
