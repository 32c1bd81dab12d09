package runner

import (
	"fmt"
	"strings"
)

const documentSteps = `
## Steps and batches

A step, and an item of a batch, is a separate record below its parent. The same function decides about it, and the record of the
parent is not an input.

- A key that is a batch has items and no command: every call of it is refused with 64.
- With ` + "`--every-attempt`" + `, a step whose record was made in another attempt of the parent is executed (new_attempt), whatever
  its outcome was. Its generation, and so its ` + "`IDEM_TOKEN`" + `, is a new one. While its processes live, it is busy.
- An execution may begin a new operation. All steps and items of the earlier one are then forgotten, in the commit that
  records the start. If one of them is held, the call is refused with 75.

| an execution because of | the steps below the key |
| --- | --- |
`

const documentStepsEnd = `
A mark that lets a success run again begins a new operation too, so the execution that follows it, for the reason *retry*,
goes on with the steps made since.
`

// executionReasons are the reasons of executions.
var executionReasons = []Reason{
	ReasonNeverRun, ReasonFailed, ReasonInterrupted, ReasonRetry, ReasonForced, ReasonExpired, ReasonStale, ReasonUnverified, ReasonMismatch, ReasonNewAttempt,
}

func stepsTable() string {
	var b strings.Builder
	for _, r := range executionReasons {
		then := "stay"
		if r.renews() {
			then = "**are forgotten**"
		}
		if r == ReasonNewAttempt {
			then = "**are forgotten**, with the history of the key"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", r, then)
	}
	return b.String()
}
