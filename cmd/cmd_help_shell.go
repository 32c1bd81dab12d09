package cmd

import "strings"

// shellForm is a line for a shell that calls idem, on the page of idem help shell. A
// test runs each line.
type shellForm struct {
	what  string // the purpose of the line, or the fault of another one
	line  string
	shell string // the shell that the line requires
}

const shellIntro = `idem starts one program. The shell reads the line before that, so && || ; | > and & are not part of
the command. "idem run --key k -- ./a && ./b" runs b again at every replay. Functions, aliases, cd
and source exist in the shell only.`

var shellForms = []shellForm{
	{"Two commands with one record. After a failure of b, both run again:", `idem run --key k -- sh -c './a && ./b'`, "sh"},
	{"Two commands with two records. After a failure of b, only b runs again:", `idem run --key k:a -- ./a && idem run --key k:b -- ./b`, "sh"},
	{"A variable, as an argument of sh -c. Inside of the quoted line, its text would be code:", `idem run --key k -- sh -c './a "$1" && ./b "$1"' sh "$FILE"`, "sh"},
	{"A pipe in the command. Without pipefail, a failure of a is recorded as a success:", `idem run --key k -- bash -o pipefail -c './a | ./b'`, "bash"},
	{"A pipe after the call. Without pipefail, the status is that of tee:", `set -o pipefail; idem run --key k -- ./a | tee a.log`, "bash"},
	{"The same without a pipe, because idem records the output:", `idem run --key k -- ./a && idem logs k >a.log`, "sh"},
	{"A pipe into the call. Without --hash-stdin, other input gets the old result:", `./list | idem run --key k --hash-stdin -- ./b`, "sh"},
	{"A function:", `export -f f; idem run --key k -- bash -c 'f "$@"' f "$FILE"`, "bash"},
	{"A loop has a key for each item. -n keeps the list from the command:", `while read -r i; do idem run -n --key "k:$i" -- ./a "$i" || exit; done <ids`, "sh"},
	{"In the background. With & in the quotes of sh -c, the success is recorded while a still runs:", `idem run --key k -- ./a & wait $!`, "sh"},
	{"Cleaning up after the command, but not after a replay:", `idem run --key k -- sh -c 'trap "rm -f tmp" EXIT; ./a'`, "sh"},
	{"time and nohup come before idem:", `nohup idem run --key k -- ./a >a.log 2>&1`, "sh"},
	{`With set -e, "|| true" would hide every refusal. To accept that the key is running:`, `idem run --key k --exit-code running=0 -- ./a`, "sh"},
	{"sudo comes before idem in all calls of a key or in none, because root has another ledger:", `sudo idem run --key k -- ./a`, "sh"},
}

// shellHelp is the page of idem help shell.
func shellHelp() string {
	var b strings.Builder
	b.WriteString(noteText(shellIntro) + "\n")
	for _, f := range shellForms {
		b.WriteString("\n" + noteText(f.what) + "\n    " + f.line + "\n")
	}
	return b.String()
}
