package items

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// show reads an input and returns a line for each item and each error.
func show(in io.Reader, o Options, fields ...string) (out []string) {
	r := New(in, o)
	if header, err := r.Header(); err == nil && o.Format.Fields() {
		argv := []string{"x", "{}"}
		for _, f := range fields {
			argv = append(argv, "{"+f+"}")
		}
		t, err := ParseTemplate(argv, TemplateOptions{Options: o, Header: header})
		if err != nil {
			return []string{err.Error()}
		}
		r.Use(t)
	}
	for {
		it, err := r.Next()
		var bad *BadLine
		switch {
		case errors.As(err, &bad):
			out = append(out, fmt.Sprintf("bad %v", bad))
			if bad.Last {
				out = append(out, "last")
			}
			if bad.NULs {
				out = append(out, "ended by NUL bytes")
			}
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			return append(out, "error "+err.Error())
		default:
			s := fmt.Sprintf("%d:%d %q", it.No, it.Line, it.Key)
			for _, v := range it.Values {
				s += fmt.Sprintf(" %q", v)
			}
			if it.Hashed() {
				s += " hashed"
			}
			out = append(out, s)
		}
	}
}

func TestReader(t *testing.T) {
	plain, nul := Options{}, Options{Format: NUL}
	strict := Options{StrictNewline: true}
	csv := Options{Format: CSV, KeyFields: []string{"id"}}
	tsv := Options{Format: TSV, KeyFields: []string{"id"}}
	jsonl := Options{Format: JSONL, KeyFields: []string{"id"}}
	short := func(o Options) Options { o.MaxItem = 20; return o }
	for _, test := range []struct {
		name   string
		o      Options
		in     string
		fields string
		want   []string
	}{
		{"nothing", plain, "", "", nil},
		{"lines", plain, "a\nb\n", "", []string{`1:1 "a"`, `2:2 "b"`}},
		{"no newline at the end", plain, "a\nb", "", []string{`1:1 "a"`, `2:2 "b"`}},
		{"no newline at the end, strict", strict, "a\ncust-12", "", []string{`1:1 "a"`, "bad line 2 has no newline at its end: it may be cut"}},
		{"spaces at the end, strict", strict, "a\n ", "", []string{`1:1 "a"`, "bad line 2 has no newline at its end: it may be cut"}},
		{"strict", strict, "a\nb\n", "", []string{`1:1 "a"`, `2:2 "b"`}},
		{"blank lines", plain, "\na\n\n \t\nb\n\n", "", []string{`1:2 "a"`, `2:5 "b"`}},
		{
			"bytes are kept", plain, " a b\\n\"'\n\ta\r\n\xff\x1b\r\r\n~x\nu:a:\na/b\n", "",
			[]string{`1:1 " a b\\n\"'" hashed`, `2:2 "\ta\r" hashed`, `3:3 "\xff\x1b\r\r" hashed`, `4:4 "~x" hashed`, `5:5 "u:a:"`, `6:6 "a/b"`},
		},
		{"CR", plain, "a\r\nb\nc\r\r\nd\r", "", []string{`1:1 "a"`, `2:2 "b"`, `3:3 "c\r" hashed`, `4:4 "d"`}},
		{"CR in a blank first line", plain, "\r\na\r\n\r\n", "", []string{`1:2 "a"`}},
		{"one line with CR and no newline", plain, "a\r", "", []string{`1:1 "a\r" hashed`}},
		{"BOM", plain, "\ufeffa\nb\n", "", []string{`1:1 "a"`, `2:2 "b"`}},
		{"only a BOM", plain, "\ufeff", "", nil},
		{"a NUL byte", plain, "a\nb\x00c\nd", "", []string{`1:1 "a"`, "bad line 2 contains a NUL byte", `2:3 "d"`}},
		{"items ended by NUL bytes", plain, "a\x00b\x00", "", []string{"bad line 1 contains a NUL byte", "ended by NUL bytes"}},
		{"an item ended by a NUL byte", plain, "a\x00", "", []string{"bad line 1 contains a NUL byte", "ended by NUL bytes"}},
		{"a NUL byte before a newline", plain, "a\x00\nb\n", "", []string{"bad line 1 contains a NUL byte", `1:2 "b"`}},
		{"many items ended by NUL bytes", short(plain), strings.Repeat("x\x00", 70000) + "\n" + strings.Repeat("x", 70000), "", []string{"bad line 1 is longer than 20 bytes", "ended by NUL bytes", "bad line 2 is longer than 20 bytes"}},
		{"UTF-16", plain, "\xff\xfea\x00\n\x00b\x00", "", []string{"bad line 1 is UTF-16: convert the list to UTF-8", "last"}},
		{"not UTF-16", plain, "\xff\xfea\n", "", []string{`1:1 "\xff\xfea" hashed`}},
		{
			"a long name", plain, strings.Repeat("x", 1022) + "\n" + strings.Repeat("x", 1023), "",
			[]string{fmt.Sprintf("1:1 %q", strings.Repeat("x", 1022)), fmt.Sprintf("2:2 %q hashed", strings.Repeat("x", 1023))},
		},
		{
			"long lines", short(plain), "a\n" + strings.Repeat("x", 20) + "\n" + strings.Repeat("x", 21) + "\n" + strings.Repeat("x", 70000) + "\nb", "",
			[]string{`1:1 "a"`, fmt.Sprintf("2:2 %q", strings.Repeat("x", 20)), "bad line 3 is longer than 20 bytes", "bad line 4 is longer than 20 bytes", `3:5 "b"`},
		},
		{"a long last line", short(plain), strings.Repeat("x", 70000), "", []string{"bad line 1 is longer than 20 bytes"}},
		{"long lines with CR", short(plain), "a\r\n" + strings.Repeat("x", 20) + "\r\n", "", []string{`1:1 "a"`, fmt.Sprintf("2:2 %q", strings.Repeat("x", 20))}},

		{"NUL", nul, "a\nb\x00 \x00\ufeffc\r\x00\x00d", "", []string{`1:1 "a\nb" hashed`, `2:2 " " hashed`, `3:3 "\ufeffc\r" hashed`, `4:5 "d"`}},
		{"NUL, strict", Options{Format: NUL, StrictNewline: true}, "a\x00b", "", []string{`1:1 "a"`, "bad line 2 has no NUL byte at its end: it may be cut"}},

		{"CSV", csv, "id,mail\n1,a\n\n\"2\",\"b, \"\"c\"\"\nd\"\n3,", "mail", []string{`1:2 "1" "a"`, `2:4 "2" "b, \"c\"\nd"`, `3:6 "3" ""`}},
		{"CSV with BOM and CRLF", csv, "\ufeffid,mail\r\n1,a\r\n2,\"x\r\ny\"\r\n", "id mail", []string{`1:2 "1" "1" "a"`, `2:3 "2" "2" "x\ny"`}},
		{"CSV with BOM and quotation marks", csv, "\ufeff\"id\"\n1\n", "", []string{`1:2 "1"`}},
		{"empty CSV", csv, "\n\n", "", nil},
		{"a header alone", csv, "id", "", nil},
		{"the key is missing", csv, "x,y\n1,2\n", "", []string{`error the header has no field "id"`}},
		{"a name twice", csv, "id,x,x\n1,2,3\n", "", []string{`bad line 1 has two fields "x"`, "last"}},
		{"empty names", csv, "id,,\n1,2,3\n", "", []string{`1:2 "1"`}},
		{"a wrong header", csv, "id,\"x\n1,2\n", "", []string{"bad line 1 has a quotation mark in a wrong place, or one that is missing", "last"}},
		{"wrong counts", csv, "id,mail\n1\n2,b,c\n3,d\n", "", []string{"bad line 2 has 1 fields, the header has 2", "bad line 3 has 3 fields, the header has 2", `1:4 "3"`}},
		{"a bare quotation mark", csv, "id,mail\n1,a\n2,x\"y\"\n3,b\n", "", []string{`1:2 "1"`, "bad line 3 has a quotation mark in a wrong place, or one that is missing", "last"}},
		{"an open quotation mark", csv, "id,mail\n1,a\n2,\"x\n3,b\n", "", []string{`1:2 "1"`, "bad line 3 has a quotation mark in a wrong place, or one that is missing", "last"}},
		{"a text that looks like a record", csv, "id,mail\n1,\"a \"quoted\" text\n2,900\n\"\n", "", []string{"bad line 2 has a quotation mark in a wrong place, or one that is missing", "last"}},
		{"an empty key", csv, "id,mail\n,a\n\" \",b\n3,c\n", "", []string{`bad line 2 has an empty key field "id"`, `bad line 3 has an empty key field "id"`, `1:4 "3"`}},
		{"CSV, strict", Options{Format: CSV, KeyFields: []string{"id"}, StrictNewline: true}, "id\n1\n2", "", []string{`1:2 "1"`, "bad line 3 has no newline at its end: it may be cut"}},
		{"a header that is cut, strict", Options{Format: CSV, KeyFields: []string{"id"}, StrictNewline: true}, "id", "", []string{"bad line 1 has no newline at its end: it may be cut", "last"}},
		{"a NUL byte in CSV", csv, "id,m\n1,a\x00\n2,\"\n\x00\"\n3,c\n", "", []string{"bad line 2 contains a NUL byte", "last"}},
		{"NUL bytes in TSV", Options{Format: TSV, KeyFields: []string{"id"}}, "id\n1\x002\x00", "", []string{"bad line 2 contains a NUL byte"}},
		{"a long record", short(csv), "id,m\n1,\"" + strings.Repeat("x\n", 20) + "\"\n2,c\n", "", []string{"bad line 2 begins a record longer than 20 bytes", "last"}},
		{"a long line of CSV", short(csv), "id,m\n1," + strings.Repeat("x", 20) + "\n2,c\n", "", []string{"bad line 2 is longer than 20 bytes", "last"}},
		{"two keys", Options{Format: CSV, KeyFields: []string{"id", "m"}}, "id,m\n1,2\n", "m id", []string{`1:2 "1,2" "2" "1" hashed`}},

		{"TSV", tsv, "\ufeffid\tmail\n1\t\"a\n\n2\tb\\t,\"\"\r\n3\n", "mail", []string{`1:2 "1" "\"a"`, `2:4 "2" "b\\t,\"\"\r"`, "bad line 5 has 1 fields, the header has 2"}},
		{"TSV with CRLF", tsv, "id\tmail\r\n1\ta\r\n", "mail", []string{`1:2 "1" "a"`}},
		{"an empty key in TSV", tsv, "id\tmail\n\ta\n\t\n", "", []string{`bad line 2 has an empty key field "id"`}},

		{
			"JSONL", jsonl, "{\"id\":\"a\"}\n\n {\"x\":{\"id\":[1,\"}\"]} , \"id\" : 12345678901234567890 } \r\n{\"id\":10000000}\n{\"id\":1e3}\n{\"id\":true}", "id",
			[]string{`1:1 "a" "a"`, `2:3 "12345678901234567890" "12345678901234567890"`, `3:4 "10000000" "10000000"`, `4:5 "1e3" "1e3"`, `5:6 "true" "true"`},
		},
		{"escapes", jsonl, `{"\u0069d":"\u00e9\n\ud83d\ude00\"\\"}`, "", []string{`1:1 "é\n😀\"\\" hashed`}},
		{
			"surrogates", jsonl, `{"id":"\ud800"}` + "\n" + `{"id":"\ud800\u0041"}` + "\n" + `{"id":"\udc00\ud800"}` + "\n" + `{"id":"\\ud800"}`, "",
			[]string{"bad line 1 has half of a surrogate pair in a string", "bad line 2 has half of a surrogate pair in a string", "bad line 3 has half of a surrogate pair in a string", `1:4 "\\ud800"`},
		},
		{"invalid UTF-8 in JSON", jsonl, "{\"id\":\"a\xff\"}", "", []string{"bad line 1 is not valid UTF-8"}},
		{
			"missing fields", jsonl, `{"mail":1}` + "\n" + `{"id":1}` + "\n" + `{"id":1,"mail":null}` + "\n" + `{"id":1,"mail":[]}` + "\n" + `{"id":{},"mail":1}` + "\n" + `{"ID":1,"mail":1}`, "mail",
			[]string{`bad line 1 has no field "id"`, `bad line 2 has no field "mail"`, `bad line 3 has null in the field "mail"`, `bad line 4 has an array in the field "mail"`, `bad line 5 has an object in the field "id"`, `bad line 6 has no field "id"`},
		},
		{"no objects", jsonl, "[1]\n1\n{\"id\":1} {}\n{\"id\"\n", "", []string{
			"bad line 1 is not a JSON object", "bad line 2 is not a JSON object",
			"bad line 3 is not JSON: invalid character '{' after top-level value", "bad line 4 is not JSON: unexpected end of JSON input",
		}},
		{"a member twice", jsonl, `{"id":1,"x":{"id":3},"id":2}` + "\n" + `{"id":1,"i\u0064":1}`, "", []string{`bad line 1 has two fields "id"`, `bad line 2 has two fields "id"`}},
		{"an empty key in JSON", jsonl, `{"id":""}`, "", []string{`bad line 1 has an empty key field "id"`}},
		{"a NUL byte in JSON", jsonl, `{"id":1,"m":"\u0000"}` + "\n" + `{"id":"\u0000","m":1}`, "m", []string{`bad line 1 has a NUL byte in the field "m"`, `bad line 2 has a NUL byte in the field "id"`}},
	} {
		for way, in := range map[string]io.Reader{
			"at once":  strings.NewReader(test.in),
			"by bytes": iotest.OneByteReader(strings.NewReader(test.in)),
			"with EOF": iotest.DataErrReader(strings.NewReader(test.in)),
		} {
			o := test.o
			o.Batch = "k"
			if d := cmp.Diff(test.want, show(in, o, strings.Fields(test.fields)...)); d != "" {
				t.Errorf("%s, %s (-want +got):\n%s", test.name, way, d)
			}
		}
	}
}

// The start of a line before a fault of the input does not count as an item.
func TestFaultOfTheInput(t *testing.T) {
	fault := errors.New("broken")
	for _, o := range []Options{{}, {Format: NUL}, {Format: CSV, KeyFields: []string{"id"}}, {Format: TSV, KeyFields: []string{"id"}}, {Format: JSONL, KeyFields: []string{"id"}}} {
		in := map[Format]string{Lines: "a\nb", NUL: "a\x00b", CSV: "id\na\nb", TSV: "id\na\nb", JSONL: "{\"id\":\"a\"}\n{\"id\":1}"}[o.Format]
		r := New(io.MultiReader(strings.NewReader(in), iotest.ErrReader(fault)), o)
		if it, err := r.Next(); err != nil || it.Key != "a" {
			t.Errorf("format %d: got %q and error %v", o.Format, it.Key, err)
		}
		for range 2 {
			if it, err := r.Next(); !errors.Is(err, fault) {
				t.Errorf("format %d: got %q and error %v, want the fault", o.Format, it.Key, err)
			}
		}
	}
}

// An item is returned while the rest of the input does not exist yet.
func TestItemsAreReadAsTheyCome(t *testing.T) {
	for _, o := range []Options{{}, {Format: NUL}, {Format: CSV, KeyFields: []string{"id"}}, {Format: TSV, KeyFields: []string{"id"}}, {Format: JSONL, KeyFields: []string{"id"}}} {
		in, out := io.Pipe()
		r := New(in, o)
		write := func(s string) {
			if o.Format == NUL {
				s = strings.ReplaceAll(s, "\n", "\x00")
			}
			_, _ = io.WriteString(out, s)
		}
		go func() {
			if o.Format == CSV || o.Format == TSV {
				write("id\n")
			}
		}()
		if _, err := r.Header(); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			text := fmt.Sprint("i", i)
			if o.Format == JSONL {
				text = fmt.Sprintf(`{"id":%q}`, text)
			}
			go write(text + "\n")
			if it, err := r.Next(); err != nil || it.Raw != text {
				t.Fatalf("format %d: got %q and error %v, want %q", o.Format, it.Raw, err, text)
			}
		}
		_ = out.Close()
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("format %d: got error %v at the end", o.Format, err)
		}
	}
}

func TestPositionsAndStdin(t *testing.T) {
	for _, test := range []struct {
		o    Options
		in   string
		ends []int64
		want string
	}{
		{Options{}, "\ufeffa\r\n\r\nbc\r\nd", []int64{6, 12, 13}, "a\nbc\nd"},
		{Options{Format: NUL}, "a\x00b\x00", []int64{2, 4}, "ab"},
		{Options{Format: CSV, KeyFields: []string{"id"}}, "id,m\n1,\"x\n\ny\"\n2,z", []int64{14, 17}, "1,\"x\n\ny\"\n2,z"},
		{Options{MaxItem: 3}, "a\n" + strings.Repeat("x", 70000) + "\nb\n", []int64{2, 70005}, "a\nb\n"},
	} {
		r := New(strings.NewReader(test.in), test.o)
		var ends []int64
		stdin := ""
		for {
			it, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				ends = append(ends, it.End)
				stdin += it.Stdin()
			}
		}
		if !cmp.Equal(ends, test.ends) || stdin != test.want {
			t.Errorf("%q: got the positions %v and %q", test.in, ends, stdin)
		}
	}
	if r := New(strings.NewReader("a\r\nb"), Options{}); r.CRLF() {
		t.Error("CRLF before the first line")
	} else if _, _ = r.Next(); !r.CRLF() {
		t.Error("no CRLF")
	}
}

// Items are the same in every format, and as different as their values.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   string // empty: a hash
	}{
		{[]string{"a"}, "a"},
		{[]string{"a//b/"}, "a//b/"},
		{[]string{"u:a:"}, "u:a:"},
		{[]string{"größe 🚀"}, "größe 🚀"},
		{[]string{"a~"}, "a~"},
		{[]string{"~"}, ""},
		{[]string{"~" + strings.Repeat("0", 64)}, ""},
		{[]string{" a"}, ""},
		{[]string{"a\u202eb"}, ""},
		{[]string{""}, ""},
		{[]string{"a", "b"}, ""},
		{[]string{"ab", ""}, ""},
		{[]string{"a,b"}, "a,b"},
	} {
		got := name("k", test.values...)
		if test.want != "" && got != test.want || test.want == "" && (len(got) != 65 || got[0] != '~') {
			t.Errorf("%q: got %q, want %q", test.values, got, test.want)
		}
	}
	if name("k", "a", "b") == name("k", "ab", "") || name("k", "a", "b") == name("k", "b", "a") {
		t.Error("different values have one name")
	}
	if got := name("k", "~"); got != "~7ace431cb61584cb9b8dc7ec08cf38ac0a2d649660be86d349fb43108b542fa4" {
		t.Errorf("got %q: the names in existing ledgers are others", got)
	}
	one, _ := New(strings.NewReader(`{"id":"1"}`), Options{Format: JSONL, KeyFields: []string{"id"}}).Next()
	two, _ := New(strings.NewReader(`{"id":1}`), Options{Format: JSONL, KeyFields: []string{"id"}}).Next()
	if one.Name != two.Name || one.Name != "1" {
		t.Errorf("got %q and %q", one.Name, two.Name)
	}
}

// FuzzReader checks that no input crashes a reader, that the end of a read does not
// matter, and that a name is a valid last part of a key.
func FuzzReader(f *testing.F) {
	for _, in := range []string{"a\r\nb\n\nc", "id,m\n1,\"x\ny\"\n2,b\n", "id\tm\n1\tx\n", `{"id":"\ud83d\ude00","m":[{"x":"}"}]}` + "\n{\"id\":1}", "\ufeffid\n1\x00\n"} {
		for format := range byte(5) {
			f.Add(in, format, format%2 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, in string, format byte, strict bool) {
		o := Options{Format: Format(format % 5), StrictNewline: strict, MaxItem: 1000, Batch: "k"}
		if o.Format.Fields() {
			o.KeyFields = []string{"id"}
		}
		all := show(strings.NewReader(in), o, "m")
		if d := cmp.Diff(all, show(iotest.OneByteReader(strings.NewReader(in)), o, "m")); d != "" {
			t.Fatalf("depends on the reads:\n%s", d)
		}
		r := New(strings.NewReader(in), o)
		end := int64(0)
		for {
			it, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			var bad *BadLine
			if errors.As(err, &bad) {
				continue
			}
			if err != nil {
				break
			}
			if it.End <= end || it.End > int64(len(in)) || !strings.Contains(in, it.Raw) && !r.CRLF() && o.Format != CSV {
				t.Fatalf("item %+v after %d", it, end)
			}
			end = it.End
			if it.Key == "" || it.Name == "" || len(it.Name) > 1022 || strings.IndexByte(it.Key, 0) >= 0 {
				t.Fatalf("item %+v", it)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	for _, bench := range []struct {
		name, header, line string
		o                  Options
	}{
		{"lines", "", "customer-4711\n", Options{Batch: "charge"}},
		{"csv", "id,mail,amount\n", "customer-4711,someone@example.org,100\n", Options{Format: CSV, Batch: "charge", KeyFields: []string{"id"}}},
		{"tsv", "id\tmail\tamount\n", "customer-4711\tsomeone@example.org\t100\n", Options{Format: TSV, Batch: "charge", KeyFields: []string{"id"}}},
		{"jsonl", "", "{\"id\":\"customer-4711\",\"mail\":\"someone@example.org\",\"amount\":100}\n", Options{Format: JSONL, Batch: "charge", KeyFields: []string{"id"}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			text := bench.header + strings.Repeat(bench.line, 1000)
			for n := 0; n < b.N; n += 1000 {
				r := New(strings.NewReader(text), bench.o)
				for {
					if _, err := r.Next(); err != nil {
						break
					}
				}
			}
		})
	}
}
