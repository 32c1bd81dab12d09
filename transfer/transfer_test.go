package transfer

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"idem/ledger"
)

// TestExportOfAnImportIsTheSame: nothing is lost, and a second import changes nothing.
func TestExportOfAnImportIsTheSame(t *testing.T) {
	from, to := newKit(t), newKit(t)
	from.fill()
	file := from.export()
	sum, err := to.importAll(file, Refuse)
	to.ok(err)
	if want := (Summary{Records: 5, Stored: 5}); sum != want {
		t.Errorf("got %+v, want %+v", sum, want)
	}
	if d := cmp.Diff(strings.Split(string(file), "\n"), strings.Split(string(to.export()), "\n")); d != "" {
		t.Errorf("another export (-first +second):\n%.3000s", d)
	}
	sum, err = to.importAll(file, Refuse)
	to.ok(err)
	if want := (Summary{Records: 5, Same: 5}); sum != want {
		t.Errorf("the second import: got %+v, want %+v", sum, want)
	}
	r, err := to.l.Get(t.Context(), key("interrupted"))
	to.ok(err)
	if r.Phase() != ledger.PhaseInterrupted {
		t.Errorf("phase %s, want interrupted", r.Phase())
	}
}

// sustained counts the beginnings and the ends of Sustain.
type sustained struct {
	ledger.Ledger
	begun, ended int
}

func (s *sustained) Sustain() (end func()) {
	s.begun++
	return func() { s.ended++ }
}

// An import prepares the ledger for many changes, unless it makes none. It also says when they end.
func TestImportSustains(t *testing.T) {
	from := newKit(t)
	from.fill()
	file := from.export()
	cut := file[:len(file)/2]
	for name, c := range map[string]struct {
		file []byte
		dry  bool
		want int
	}{"whole": {file, false, 1}, "cut off": {cut, false, 1}, "dry run": {file, true, 0}} {
		t.Run(name, func(t *testing.T) {
			to := newKit(t)
			l := &sustained{Ledger: to.l}
			i, err := NewImporter(bytes.NewReader(c.file))
			to.ok(err)
			_, err = i.Import(t.Context(), l, ImportOptions{DryRun: c.dry, Refused: func(ledger.Record, ledger.Record, error) {}})
			if (err != nil) != (name == "cut off") || l.begun != c.want || l.ended != c.want {
				t.Errorf("got %d beginnings and %d ends, error %v; want %d", l.begun, l.ended, err, c.want)
			}
		})
	}
}

// TestLargeContents: outputs and files are spread over lines, in order.
func TestLargeContents(t *testing.T) {
	from, to := newKit(t), newKit(t)
	text := strings.Repeat("0123456789abcdef", 80_000)
	o := success
	o.Files = []ledger.File{{Name: "large", Content: []byte(text)}, {Name: "empty"}, {Name: "again", Content: []byte(text)}}
	from.run(key("a"), ledger.Start{}, o, text, "x", text)
	file := from.export()
	for line := range bytes.Lines(file) {
		if len(line) > 2<<20 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
	_, err := to.importAll(file, Refuse)
	to.ok(err)
	if !bytes.Equal(to.export(), file) {
		t.Error("the contents differ")
	}
}

func TestExportWithoutOutputsSaysSo(t *testing.T) {
	from, to := newKit(t), newKit(t)
	from.fill()
	h := header
	h.Outputs = false
	var b bytes.Buffer
	_, err := Export(t.Context(), from.l, &b, ExportOptions{Header: h})
	from.ok(err)
	if bytes.Contains(b.Bytes(), []byte(`"type":"output"`)) || !bytes.Contains(b.Bytes(), []byte(`"type":"file"`)) {
		t.Error("the export has outputs, or no files")
	}
	_, err = to.importAll(b.Bytes(), Refuse)
	to.ok(err)
	r, err := to.l.Get(t.Context(), key("a"))
	to.ok(err)
	if a := r.Current; !a.OutputRemoved.Equal(header.Exported) || !a.Truncated || a.OutputBytes == 0 {
		t.Errorf("the attempt without its output: %+v", a)
	}
}

// TestSelectedRecords: a pattern also restricts the numbers, but not those of a record that can be
// above a selected one.
func TestSelectedRecords(t *testing.T) {
	k := newKit(t)
	k.fill()
	for pattern, want := range map[string][]string{
		"f*":      {`"key":"batch","window":"2026-W47"`, `"key":"forgotten"`},
		"batch/*": {`"key":"batch","window":"2026-W47"`, `"key":"batch/x"`},
	} {
		var b bytes.Buffer
		glob, err := ledger.ParseGlob(pattern)
		k.ok(err)
		_, err = Export(t.Context(), k.l, &b, ExportOptions{Header: header, Filter: ledger.Filter{Globs: ledger.Globs{glob}}})
		k.ok(err)
		if n := strings.Count(b.String(), `"type":"numbers"`); n != len(want) {
			t.Errorf("%s: %d lines of numbers, want %d:\n%s", pattern, n, len(want), b.String())
		}
		for _, text := range want {
			if !strings.Contains(b.String(), text) {
				t.Errorf("%s: no %s:\n%s", pattern, text, b.String())
			}
		}
	}
}

// TestNumbersOfAKeyThatIsNotSelected refuse nothing: the ledger may have another history of it.
func TestNumbersOfAKeyThatIsNotSelected(t *testing.T) {
	from, to := newKit(t), newKit(t)
	from.fill()
	p := ledger.ID{Namespace: "prod", Key: "batch", Window: "2026-W47"}
	from.ok(from.l.Forget(t.Context(), p))
	to.run(p, ledger.Start{}, success)
	var b bytes.Buffer
	glob, err := ledger.ParseGlob("a")
	from.ok(err)
	_, err = Export(t.Context(), from.l, &b, ExportOptions{Header: header, Filter: ledger.Filter{Globs: ledger.Globs{glob}}})
	from.ok(err)
	sum, err := to.importAll(b.Bytes(), Refuse)
	to.ok(err)
	if want := (Summary{Records: 1, Stored: 1}); sum != want {
		t.Errorf("got %+v, want %+v", sum, want)
	}
}

// TestACutFileIsRecognised: a file that ends at any 4,096th byte, or after any line, is refused. The
// records that are stored from it are whole.
func TestACutFileIsRecognised(t *testing.T) {
	from := newKit(t)
	from.fill()
	file := from.export()
	var cuts []int
	for n := 0; n < len(file); n += 4096 {
		cuts = append(cuts, n)
	}
	for n, b := range file {
		if b == '\n' {
			cuts = append(cuts, n, n+1)
		}
	}
	for _, n := range cuts {
		if n == len(file) {
			continue
		}
		to := newKit(t)
		_, err := to.importAll(file[:n], Refuse)
		wantError(t, n, err)
		to.wholeRecords(from)
	}
}

// wholeRecords checks that each record is equal to the one in another ledger.
func (k kit) wholeRecords(of kit) {
	k.Helper()
	for r, err := range k.l.List(k.ctx, ledger.Filter{}) {
		k.ok(err)
		if d := cmp.Diff(of.contents(r.ID), k.contents(r.ID)); d != "" {
			k.Errorf("key %q differs (-want +got):\n%.2000s", r.ID.Key, d)
		}
	}
}

// contents returns the history of a record, with the outputs and the files.
func (k kit) contents(id ledger.ID) (all []any) {
	k.Helper()
	history, err := k.l.Attempts(k.ctx, id)
	k.ok(err)
	for _, a := range history {
		out, err := k.l.Output(k.ctx, id, a.RunID)
		k.ok(err)
		var stdout, stderr bytes.Buffer
		for c, err := out.Next(); err == nil; c, err = out.Next() {
			if c.Stream == ledger.Stdout {
				stdout.Write(c.Bytes)
			} else {
				stderr.Write(c.Bytes)
			}
		}
		files, err := k.l.Files(k.ctx, id, a.RunID)
		k.ok(err)
		a.Started, a.Ended, a.Inputs = a.Started.Truncate(time.Microsecond), a.Ended.Truncate(time.Microsecond), append([]byte{}, a.Inputs...)
		all = append(all, a, stdout.String(), stderr.String(), files)
	}
	return all
}

func wantError(t *testing.T, at int, err error) {
	t.Helper()
	var bad *Error
	if !errors.As(err, &bad) || bad.Line < 1 {
		t.Fatalf("at byte %d: got error %v, want an *Error with its line", at, err)
	}
}

// TestAFlippedByteIsFound: wherever it is, and whatever bit.
func TestAFlippedByteIsFound(t *testing.T) {
	from := newKit(t)
	from.fill()
	file := from.export()
	var at []int
	for n := 0; n < len(file); n += 4096 {
		at = append(at, n)
	}
	for n := range 600 { // the header, and lines of each kind
		at = append(at, n)
	}
	for n := len(file) - 1500; n < len(file); n++ {
		at = append(at, n)
	}
	bad := bytes.Clone(file)
	for i, n := range at {
		bad[n] ^= 1 << (i % 8)
		to := newKit(t)
		_, err := to.importAll(bad, Refuse)
		wantError(t, n, err)
		bad[n] = file[n]
	}
}

// TestLinesCannotBeMoved: a line that is lost, doubled or exchanged with the next one is found.
func TestLinesCannotBeMoved(t *testing.T) {
	from := newKit(t)
	from.fill()
	lines := strings.SplitAfter(string(from.export()), "\n")
	lines = lines[:len(lines)-1]
	try := func(i int, parts ...[]string) {
		t.Helper()
		var all []string
		for _, p := range parts {
			all = append(all, p...)
		}
		_, err := newKit(t).importAll([]byte(strings.Join(all, "")), Refuse)
		wantError(t, i, err)
	}
	for i := range lines {
		try(i, lines[:i], lines[i+1:])
		try(i, lines[:i+1], lines[i:])
		if i+1 < len(lines) {
			try(i, lines[:i], lines[i+1:i+2], lines[i:i+1], lines[i+2:])
		}
	}
	try(0, lines, lines)
}

// TestWhatIsNoExport: the error names the line, and says whether it is an export at all.
func TestWhatIsNoExport(t *testing.T) {
	k := newKit(t)
	k.run(key("a"), ledger.Start{}, success)
	file := string(k.export())
	first, rest, _ := strings.Cut(file, "\n")
	for _, c := range []struct {
		file, want string
		foreign    bool
	}{
		{"", "line 1: the file is empty", true},
		{"\n", "line 1: this is not an export of idem", true},
		{"[\n  {\n", "line 1: this is not an export of idem", true},
		{`{"type":"ledger","schema":1}` + "\n", "line 1: it has no sum", false},
		{file[:20], "line 1: the export is cut off here", false},
		{signed(`{"type":"ledger","schema":2,"new":true}`, sum{}), "line 1: a newer idem wrote this export", true},
		{first + "\n", "line 2: the export is cut off here: it has no end line", false},
		{first + "\n\xff" + rest, "line 2: it is not valid UTF-8", false},
		{first + "\n" + strings.Repeat("x", MaxLine+1), "line 2: it is longer than 64 MiB", false},
		{file + "{}\n", "line 5: something follows the end of the export", false},
		{first + "\n" + signed(`{"type":"end","records":1}`, sum{}), "line 2: the export has 0 records, and not 1", false},
		{first + "\n" + signed(`{"type":"end", "records":0}`, sum{}), "line 2: it is not written as idem writes it", false},
		{first + "\n" + signed(`{"type":"end","records":0,"more":1}`, sum{}), `line 2: it is not a line of an export: json: unknown field "more"`, false},
		{first + "\n" + signed(`{"type":"attempt","number":1}`, sum{}), `line 2: a line of the type "attempt" is not expected here`, false},
	} {
		_, err := newKit(t).importAll([]byte(c.file), Refuse)
		var bad *Error
		if !errors.As(err, &bad) || err.Error() != c.want || bad.Foreign != c.foreign {
			t.Errorf("%.60q: got error %v, want %s", c.file, err, c.want)
		}
	}
}

// signed returns a body as a line that follows one with the sum before.
func signed(body string, before sum) string {
	next := before.following([]byte(body))
	return body[:len(body)-1] + sumField + hexOf(next) + "\"}\n"
}
