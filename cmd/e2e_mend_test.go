package cmd_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// mended matches a hint that ends in a command line.
var mended = regexp.MustCompile(`(?m)^idem: hint: .*?: ((?:idem|export|chmod|sed|perl) .*)$`)

// Each hint about a command that cannot be started is pasted into a shell. The
// command then runs.
func TestE2EHintsOfWhatCannotBeStarted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		script string // the script that the user types; the hint is that of its last call
		code   int
		hints  int
		want   string // stdout after the hint was pasted
	}{
		{"a line", `idem run --key k -- "echo hello   world | tr a-z A-Z"`, 127, 1, "HELLO WORLD\n"},
		{"a line with quotes", `idem run --key k -- "echo 'it'\''s' \"two  words\""`, 127, 1, "it's two  words\n"},
		{"a line for bash", `idem run --key k -- "[[ a == a* ]] && echo yes"`, 127, 1, "yes\n"},
		{"flags", `idem run --namespace prod --key 'a b' --wait 5 -- "echo \$IDEM_NAMESPACE \$IDEM_KEY"`, 127, 1, "prod a b\n"},
		{"an assignment", `idem run --key k -- FOO='1 2' sh -c 'echo $FOO'`, 127, 1, "1 2\n"},
		{"a path assigned", `idem run --key k FOO=/x/y sh -c 'echo $FOO'`, 127, 1, "/x/y\n"},
		{"cd", `idem run --key k -- cd 'sub dir'`, 127, 1, "in it\n"},
		{"source", `idem run --key k -- source ./vars`, 127, 1, "in vars\n"},
		{"a word of the shell", `idem run --key k -- eval echo 'a   b'`, 127, 1, "a b\n"},
		{"a function", `f() { echo "f:$2"; }; idem run --key k -- f 1 'a b'`, 127, 1, "f:a b\n"},
		{"an exported function", `f() { echo "f:$2"; }; export -f f; idem run --key k -- f 1 'a b'`, 127, 1, "f:a b\n"},
		{"two words in quotes", `CMD="sh -c"; idem run --key k -- "$CMD" 'echo split'`, 127, 1, "split\n"},
		{"a file here", `idem run --key k -- good.sh x`, 127, 1, "good x\n"},
		{"a tilde", `idem run --key k -- '~/good.sh' x`, 127, 1, "good x\n"},
		{"no x bit", `idem run --key k -- ./plain.sh 1`, 126, 2, "plain 1\n"},
		{"no x bit, with env", `idem run --key k -- ./plain.env 1`, 126, 2, "plain 1\n"},
		{"a directory", `idem run --key k -- './sub dir' ls -d .`, 126, 1, ".\n"},
		{"an interpreter elsewhere", `idem run --key k -- ./elsewhere.sh 1`, 126, 1, "elsewhere 1\n"},
		{"lines of Windows", `idem run --key k -- ./crlf.sh 1`, 126, 1, "crlf 1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			b.env = append(b.env, "BASH_ENV=")
			for name, text := range map[string]string{
				"good.sh": "#!/bin/sh\necho good $1\n", "plain.sh": "#!/bin/bash -e\necho plain $1\n",
				"plain.env": "#!/usr/bin/env bash\necho plain $1\n", "elsewhere.sh": "#!/no/such/dir/bash\necho elsewhere $1\n",
				"crlf.sh": "#!/bin/sh\r\necho crlf $1\r\n", "vars": "VAR='in vars'\n", "COMMAND": "",
			} {
				b.write(name, text)
				if strings.HasSuffix(name, ".sh") && name != "plain.sh" {
					if err := os.Chmod(b.path(name), 0o755); err != nil {
						t.Fatal(err)
					}
				}
			}
			b.sh("mkdir 'sub dir'")
			r := b.wantStatus(b.sh(test.script), test.code)
			hints := mended.FindAllStringSubmatch(r.err, -1)
			if len(hints) != test.hints || strings.Count(r.err, "hint:") != test.hints {
				t.Fatalf("got %d hints with a command line, want %d:\n%s", len(hints), test.hints, r.err)
			}
			before, _, _ := strings.Cut(test.script, "idem run")
			for _, hint := range hints {
				line := strings.ReplaceAll(hint[1], "COMMAND", map[string]string{"cd": "echo in it", "source": `echo "$VAR"`}[test.name])
				if !strings.Contains(line, "idem run") { // the hint repairs the file, so the call is made again
					line += "\n" + test.script
				}
				b.sh("idem forget k")
				if got := b.wantStatus(b.sh(before+"\n"+line), 0); got.out != test.want {
					t.Errorf("%s: got %+v, want %q", line, got, test.want)
				}
			}
		})
	}
}
