package redact

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func mustNew(t testing.TB, exprs, secrets []string) *Redactor {
	t.Helper()
	r, err := New(exprs, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBytes(t *testing.T) {
	pem := "-----BEGIN KEY-----\nMIIEabcd\r\n  xyz9\nab\n-----END KEY-----\n"
	for _, test := range []struct {
		name           string
		exprs, secrets []string
		in, want       string
	}{
		{"nothing to find", nil, []string{"hunter2"}, "hunter1 hunte\n", "hunter1 hunte\n"},
		{"nothing to look in", nil, []string{"hunter2"}, "", ""},
		{"a secret", nil, []string{"hunter2"}, "a hunter2 b", "a [redacted] b"},
		{"alone", nil, []string{"hunter2"}, "hunter2", "[redacted]"},
		{"twice", nil, []string{"hunter2"}, "hunter2,hunter2", "[redacted],[redacted]"},
		{"side by side", nil, []string{"hunter2"}, "hunter2hunter2", "[redacted]"},
		{"over itself", nil, []string{"abcabc"}, "abcabcabc.", "[redacted]."},
		{"one over the other", nil, []string{"abcdef", "defghi"}, "-abcdefghi-", "-[redacted]-"},
		{"one in the other", nil, []string{"bcde", "abcdef"}, "-abcdef-bcde-", "-[redacted]-[redacted]-"},
		{"begun again", nil, []string{"aaab"}, "aaaab", "a[redacted]"},
		{"bytes", nil, []string{"\xff\x00\xfe\x01"}, "a\xff\x00\xfe\x01b", "a[redacted]b"},
		{"many lines", nil, []string{pem}, "<" + pem + ">", "<[redacted]>"},
		{"each line of many", nil, []string{pem}, "MIIEabcd|xyz9|ab|-----END KEY-----", "[redacted]|[redacted]|ab|[redacted]"},
		{"other line ends", nil, []string{"line1\nline2"}, "line1\r\nline2\r\n", "[redacted]\r\n[redacted]\r\n"},
		{"white space around", nil, []string{" hunter2\n"}, "hunter2", "[redacted]"},
		{"an expression", []string{`token=\w+`}, nil, "a token=x1 b\ntoken=x2\n", "a [redacted] b\n[redacted]\n"},
		{"anchors are those of lines", []string{`^pin.*$`}, nil, "pin 1\nmy pin 2\r\npin 3\r\npin 4", "[redacted]\nmy pin 2\r\n[redacted]\r\n[redacted]"},
		{"not over line ends", []string{`a[^b]*b`}, nil, "a1\n2b a3b", "a1\n2b [redacted]"},
		{"progress", []string{`\d+%`}, nil, "10%\r20%\rdone", "[redacted]\r[redacted]\rdone"},
		{"two expressions", []string{`abc`, `cde`}, nil, "abcde abc cde", "[redacted] [redacted] [redacted]"},
		{"an empty match is none", []string{`\bx|y`}, nil, "ax y", "ax [redacted]"},
		{"an expression that eats into a secret", []string{`\d{3}`}, []string{"abc123def"}, "abc123def 123", "[redacted] [redacted]"},
		{"a secret inside a match", []string{`key-\w+-end`}, []string{"hunter2"}, "key-hunter2-end", "[redacted]"},
		{"a secret over lines with an expression", []string{`z`}, []string{"one1\ntwo2"}, "zone1\ntwo2z", "[redacted]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := mustNew(t, test.exprs, test.secrets)
			in := []byte(test.in)
			if got := string(r.Bytes(in)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if string(in) != test.in {
				t.Error("Bytes changed its argument")
			}
			if r.Finds(in) != (test.in != test.want) {
				t.Error("Finds and Bytes disagree")
			}
			// Cut in two at each offset, then byte by byte.
			for cut := range len(in) + 1 {
				if got := inPieces(r, in[:cut], in[cut:]); got != test.want {
					t.Fatalf("cut at %d: got %q, want %q", cut, got, test.want)
				}
			}
			if got := inPieces(r, bytes.SplitAfter(in, nil)...); got != test.want {
				t.Errorf("byte by byte: got %q, want %q", got, test.want)
			}
		})
	}
}

// inPieces returns the output of a stream for pieces. It clears each piece after
// Write, and each output after copying it, to detect bytes that are used later.
func inPieces(r *Redactor, pieces ...[]byte) string {
	var out []byte
	s := r.Stream(func(p []byte) {
		if len(p) == 0 {
			panic("an empty piece")
		}
		out = append(out, p...)
		clear(p)
	})
	for _, p := range pieces {
		p = bytes.Clone(p)
		s.Write(p)
		clear(p)
	}
	s.Flush()
	return string(out)
}

func TestNothingToRedact(t *testing.T) {
	r, err := New(nil, nil)
	if r != nil || err != nil {
		t.Fatal(r, err)
	}
	if got := string(r.Bytes([]byte("abc"))); got != "abc" || r.Finds([]byte("abc")) {
		t.Errorf("got %q", got)
	}
	if got := inPieces(r, []byte("ab"), []byte("c")); got != "abc" {
		t.Errorf("got %q", got)
	}
}

func TestRefused(t *testing.T) {
	for _, expr := range []string{
		`(`, `a**`, // syntax errors
		``, `x*`, `x?`, `^`, `$`, `^$`, `\b`, `\B`, `(a|)`, `(a*)+`, `x{0,3}`, `a*b?`, `(?m)^`, // match the empty text
		`a\nb`, `a\r`, `(?s).+`, `[\s\S]+`, `x[\n]y`, `x[\r\n]+y`, `(?s)-----BEGIN.*END`, // match line ends
	} {
		if _, err := New([]string{expr}, nil); err == nil {
			t.Errorf("%q is accepted", expr)
		}
	}
	for _, secret := range []string{"", "1", "abc", "   abc   ", "\n\n\n\n", "redacted", "acted", Mark} {
		if _, err := New(nil, []string{secret}); err == nil {
			t.Errorf("%q is accepted", secret)
		}
	}
	for _, expr := range []string{`a`, `a+`, `^a`, `\s+x`, `[^"]+`, `x\b`, `(?i)a|b`, `.`, `\W`} {
		if _, err := New([]string{expr}, nil); err != nil {
			t.Errorf("%q: got error %v, want none", expr, err)
		}
	}
}

// Bytes that no later byte can change are passed on at once.
func TestHeldBack(t *testing.T) {
	for _, test := range []struct {
		exprs, secrets []string
		in, early      string
	}{
		{nil, []string{"hunter2"}, "all", "all"},
		{nil, []string{"hunter2"}, "all hunt", "all "},
		{nil, []string{"hunter2"}, "all hunt you", "all hunt you"},
		{nil, []string{"hunter2"}, "all hunter2", "all [redacted]"},
		{nil, []string{"abcabd"}, "xabcab", "x"},
		{nil, []string{"abcabd"}, "xabcabc", "xabc"},
		{[]string{`x\d+`}, nil, "one\ntw", "one\n"},
		{[]string{`x\d+`}, nil, "x1\rx2", "[redacted]\r"},
		{[]string{`x\d+`}, []string{"one1\ntwo2"}, "one1\ntw", ""},
		{[]string{`x\d+`}, []string{"one1\ntwo2"}, "one1\ntwx\n", "[redacted]\ntwx\n"},
	} {
		var early []byte
		s := mustNew(t, test.exprs, test.secrets).Stream(func(p []byte) { early = append(early, p...) })
		s.Write([]byte(test.in))
		if string(early) != test.early {
			t.Errorf("%q: got %q at once, want %q", test.in, early, test.early)
		}
	}
}

// TestLongLines checks three things:
//   - A match of up to MaxMatch bytes is found whole at any offset.
//   - A longer match removes the rest of its line too.
//   - Memory is bounded.
func TestLongLines(t *testing.T) {
	r := mustNew(t, []string{`<[a-z]+>`, `!.*`}, []string{"hunter2"})
	fill := func(n int) string { return strings.Repeat("0123456789abcde ", n/16+1)[:n] }
	match := "<" + strings.Repeat("m", MaxMatch-2) + ">"
	for _, at := range []int{0, 1, MaxMatch - 1, MaxMatch, MaxMatch + 1, 2*MaxMatch - 1, 2 * MaxMatch, 3*MaxMatch - 7, 5*MaxMatch + 3} {
		in := fill(at) + match + fill(3*MaxMatch) + "hunter2" + fill(100) + "\nnext <x>\n"
		want := fill(at) + Mark + fill(3*MaxMatch) + Mark + fill(100) + "\nnext " + Mark + "\n"
		compareLong(t, r, in, want)
	}
	long := "<" + strings.Repeat("m", 3*MaxMatch) + ">"
	in := fill(MaxMatch/2) + "!" + long + long + fill(5*MaxMatch) + "\nnext <x>\n"
	compareLong(t, r, in, fill(MaxMatch/2)+Mark+"\nnext "+Mark+"\n")
}

func compareLong(t *testing.T, r *Redactor, in, want string) {
	t.Helper()
	for _, size := range []int{len(in), 1 << 10, 64<<10 - 1, 256 << 10} {
		var out bytes.Buffer
		s := r.Stream(func(p []byte) { out.Write(p) })
		for rest := []byte(in); len(rest) > 0; {
			n := min(size, len(rest))
			s.Write(rest[:n])
			rest = rest[n:]
			if len(s.held) > 2*MaxMatch {
				t.Fatalf("%d bytes are held", len(s.held))
			}
		}
		s.Flush()
		if out.String() != want {
			at := 0
			for at < min(len(want), out.Len()) && want[at] == out.Bytes()[at] {
				at++
			}
			t.Fatalf("in pieces of %d: got %d bytes, want %d, the first %d as wanted", size, out.Len(), len(want), at)
		}
	}
}

// redactSimply is a simple redactor for short lines. It marks each byte to remove.
func redactSimply(exprs, secrets []string, in []byte) string {
	gone := make([]bool, len(in))
	take := func(from, to int) {
		for i := from; i < to; i++ {
			gone[i] = true
		}
	}
	for at := range in {
		for _, s := range secrets {
			if bytes.HasPrefix(in[at:], []byte(s)) {
				take(at, at+len(s))
			}
		}
	}
	for from := 0; from <= len(in); {
		to := from
		for to < len(in) && in[to] != '\n' && in[to] != '\r' {
			to++
		}
		for _, expr := range exprs {
			for _, m := range regexp.MustCompile(expr).FindAllIndex(in[from:to], -1) {
				take(from+m[0], from+m[1])
			}
		}
		from = to + 1
	}
	var out []byte
	for i := range in {
		switch {
		case !gone[i]:
			out = append(out, in[i])
		case i == 0 || !gone[i-1]:
			out = append(out, Mark...)
		}
	}
	return string(out)
}

// FuzzStream checks that the output of a stream does not depend on its pieces,
// is the redaction of the whole input, and contains no secret.
func FuzzStream(f *testing.F) {
	f.Add([]byte("a abab abba\nababab"), "abab", "abba", []byte{3, 1, 2})
	f.Add([]byte("x=1\ny x=22\r\nx="), "one1\ntwo2", "x=11", []byte{1})
	f.Add([]byte("aaaaaaaaaaaa"), "aaaa", "aaab", []byte{5, 1})
	f.Add([]byte("one1\ntwo2x=1one1\ntwo"), "one1\ntwo2", "1\ntwo2x", []byte{9, 2})
	f.Fuzz(func(t *testing.T, in []byte, a, b string, cuts []byte) {
		exprs := []string{`x=\d+`, `^a+b?`, `b.b`}
		r, err := New(exprs, []string{a, b})
		if err != nil {
			return
		}
		var secrets []string
		for _, s := range r.secrets {
			secrets = append(secrets, string(s))
		}
		want := redactSimply(exprs, secrets, in)
		if got := string(r.Bytes(in)); got != want {
			t.Fatalf("at once: got %q, want %q", got, want)
		}
		var pieces [][]byte
		for rest, i := in, 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, int(cuts[i%len(cuts)]))
			}
			if n == 0 {
				n = 1
			}
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		got := inPieces(r, pieces...)
		if got != want {
			t.Fatalf("in %d pieces: got %q, want %q", len(pieces), got, want)
		}
		// A Mark and the text next to it may together spell a secret that contains
		// a part of a Mark. The input did not contain that secret.
		for part := range strings.SplitSeq(got, Mark) {
			for _, s := range secrets {
				if !strings.Contains(string(in), Mark) && strings.Contains(part, s) {
					t.Fatalf("%q is in %q", s, got)
				}
			}
		}
	})
}

func BenchmarkStream(b *testing.B) {
	line := []byte("2026-11-22T06:44:24Z INFO request served path=/api/v1/orders status=200 duration=12ms user=4711\n")
	block := bytes.Repeat(line, 64<<10/len(line))
	for _, test := range []struct {
		name           string
		exprs, secrets []string
	}{
		{"nothing", nil, nil},
		{"secret", nil, []string{"ghp_0123456789abcdefghijklmnopqrstuvwxyz"}},
		{"common", nil, []string{"2026-11-22T06:44:24Z WARN"}},
		{"prefixed", []string{`ghp_\w{36}`}, nil},
		{"class", []string{`[A-Za-z0-9+/=]{40,}`}, nil},
		{"hit", []string{`user=\d+`}, nil},
	} {
		b.Run(test.name, func(b *testing.B) {
			s := mustNew(b, test.exprs, test.secrets).Stream(func([]byte) {})
			b.SetBytes(int64(len(block)))
			for b.Loop() {
				s.Write(block)
			}
		})
	}
}
