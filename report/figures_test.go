package report

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"slices"
	"testing"

	"idem/internal/testkit"
)

// TestFigures writes the screenshots of README with -update. A picture depends on the fonts of
// a machine, so no test compares it.
func TestFigures(t *testing.T) {
	if !testkit.Updating() {
		return
	}
	path := written(t, collected(t, month(), optionsOf()))
	for name, scheme := range map[string]string{"light": "1", "dark": "0"} {
		shot := t.TempDir() + "/shot.png"
		c := exec.CommandContext(t.Context(), chromium(t), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
			"--user-data-dir="+t.TempDir(), "--window-size=1280,1300", "--blink-settings=preferredColorScheme="+scheme, "--screenshot="+shot, "file://"+path)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		content, err := os.ReadFile(shot)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("../docs/figures/report-"+name+".png", indexed(t, content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// indexed returns a picture with its 256 most frequent colours, which needs half the bytes.
func indexed(t *testing.T, content []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[color.Color]int{}
	size := from.Bounds()
	for y := range size.Dy() {
		for x := range size.Dx() {
			counts[from.At(x, y)]++
		}
	}
	var colours color.Palette
	for c := range counts {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.Color) int { return counts[b] - counts[a] })
	to := image.NewPaletted(size, colours[:min(256, len(colours))])
	for y := range size.Dy() {
		for x := range size.Dx() {
			to.Set(x, y, from.At(x, y))
		}
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, to); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
