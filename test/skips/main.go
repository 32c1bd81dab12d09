// Skips reads the output of go test -json and prints what go test would print,
// then one line for each test that was skipped. It fails when a test failed or,
// with CI=true, when one was skipped. Its arguments are those of go test: -v and
// -bench make it print everything. With -short, the tests that -short leaves out
// are counted instead of listed, and do not make it fail.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"idem/internal/testkit"
)

// event is what go test -json writes; see go doc test2json.
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

func main() {
	verbose, short := false, false
	for _, a := range os.Args[1:] {
		a = "-" + strings.TrimLeft(a, "-")
		verbose = verbose || a == "-v" || a == "-v=true" || strings.HasPrefix(a, "-bench")
		short = short || a == "-short" || a == "-short=true"
	}
	skipped, failed := filter(os.Stdin, os.Stdout, verbose)
	if short {
		all := len(skipped)
		skipped = slices.DeleteFunc(skipped, func(s string) bool { return strings.Contains(s, testkit.ShortSkip) })
		fmt.Println("left out by -short:", all-len(skipped))
	}
	for _, s := range skipped {
		fmt.Println("skipped:", s)
	}
	if len(skipped) > 0 && os.Getenv("CI") == "true" {
		fmt.Fprintf(os.Stderr, "%d tests skipped, which CI=true does not allow\n", len(skipped))
		failed = true
	}
	if failed {
		os.Exit(1)
	}
}

// filter copies the output of failed tests and the closing line of each package, or all
// output if verbose. It returns the skipped tests, each with its reason.
func filter(r io.Reader, w io.Writer, verbose bool) (skipped []string, failed bool) {
	output := map[string]map[string][]string{} // by package and test, until the test ends
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil && line == "" {
			return skipped, failed
		}
		var e event
		if json.Unmarshal([]byte(line), &e) != nil {
			fmt.Fprint(w, line) // written by the go command itself
			continue
		}
		if output[e.Package] == nil {
			output[e.Package] = map[string][]string{}
		}
		tests := output[e.Package]
		flush := func(test string) {
			for _, line := range tests[test] {
				if !verbose && !strings.HasPrefix(line, "=== ") {
					fmt.Fprint(w, line)
				}
			}
			delete(tests, test)
		}
		switch e.Action {
		case "output":
			tests[e.Test] = append(tests[e.Test], e.Output)
			if verbose {
				fmt.Fprint(w, e.Output)
			}
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "build-fail":
			failed = true
		case "fail":
			failed = true
			if e.Test != "" {
				flush(e.Test)
				break
			}
			// A panic ends tests without an event. The package, "", is the last.
			for _, test := range slices.Backward(slices.Sorted(maps.Keys(tests))) {
				flush(test)
			}
		case "skip":
			if e.Test != "" {
				skipped = append(skipped, e.Package+" "+e.Test+": "+reason(tests[e.Test]))
			}
			fallthrough // a package without tests is skipped, and that is its closing line
		case "pass":
			if lines := tests[""]; e.Test == "" && len(lines) > 0 {
				tests[""] = lines[len(lines)-1:]
				flush("")
			}
			delete(tests, e.Test)
		}
	}
}

// reason returns the message of a test about its skip.
func reason(lines []string) string {
	var messages []string
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			messages = append(messages, line)
		}
	}
	return strings.Join(messages, " ")
}
