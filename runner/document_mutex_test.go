package runner

import (
	"fmt"
	"strings"
)

const documentMutexes = `
A call with ` + "`--mutex`" + ` takes its mutexes when it executes: all of them or none. Any other decision takes no mutex. If one of
them has no free place, *execute* becomes a refusal. With ` + "`--wait`" + `, a call whose mutex is held waits in the line of the
mutex, with the claim, and asks again.

`

// mutexTexts are the states of a call's mutexes, in the order of the rows.
var mutexTexts = []struct {
	mutexes Availability
	text    string
}{
	{MutexesFree, "each has a free place, and no other call is in its line"},
	{MutexesOuter, "one has no free place before an attempt ends that the call is made inside of"},
	{MutexesHeld, "one has no free place, or another call is first in its line"},
}

func mutexesTable() string {
	var b strings.Builder
	b.WriteString("| mutexes | then |\n| --- | --- |\n")
	for _, m := range mutexTexts {
		then := "**execute**"
		if d := (Decision{Action: ActionExecute}).with(m.mutexes); d.Action != ActionExecute {
			then = row{}.cell(d)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", m.text, then)
	}
	return b.String()
}
