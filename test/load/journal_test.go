package main

import (
	"strings"
	"testing"
)

func TestCheckJournal(t *testing.T) {
	for _, test := range []struct{ journal, want string }{
		{"start a|end a|ack a|ack a", ""},
		{"start a|fail a|start b|end b|ack b", ""},
		{"start a|start b|end b|ack b", ""}, // a was killed
		{"start a|end a|ack a|forget -|forgotten -|start b|end b|ack b|ack a", ""},
		{"start a|end a|ack a|forget -|start b|forgotten -|end b|ack b", ""},
		{"start a|end a|forget -|forgotten -|ack a|start b|end b", ""},                          // a slow caller
		{"start a|end a|start b|end b|ack b", ""},                                               // the end of a was not recorded
		{"forget -|start a|end a|ack a|kept -", ""},                                             // nothing there yet
		{"start a|overlap b", "run b found another at work"},                                    // two at once
		{"start a|end a|ack a|start b", "run b began after the acknowledged success of a"},      // again
		{"start a|end a|ack a|forget -|kept -|start b", "run b began after the acknowledged"},   // refused
		{"forget -|forgotten -|start a|end a|ack a|start b", "run b began after the"},           // before it
		{"start a|end a|ack a|forget -|forgotten -|start b|end b|ack b|start c", "run c began"}, // twice
		{"start a|ack a|end a", `run "a" is acknowledged and never came to its end`},
	} {
		_, err := checkJournal(strings.Split(test.journal, "|"))
		if err == nil && test.want == "" {
			continue
		}
		if err == nil || test.want == "" || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: found %v, want %q", test.journal, err, test.want)
		}
	}
}
