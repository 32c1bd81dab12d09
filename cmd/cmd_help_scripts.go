package cmd

import "strings"

// scriptLines is the script of idem help scripts. A test runs it, kills it, and runs it
// again.
const scriptLines = `#!/bin/bash
set -euo pipefail
me="deploy:$1"
[ "${IDEM_KEY-}" = "$me" ] || exec idem run --key "$me" --resumable -- "$0" "$@"
idem step build --timeout 20m -- make release
image=$(idem step push -- ./push.sh)
idem step announce --retries 3 -- ./announce.sh "deployed $image"`

const scriptsText = `A script becomes resumable in five lines: two at its beginning, and "idem step NAME --" before each
command that has an effect.

%

Started again with the same argument after a failure, a kill or a power cut, it goes on at the first
step that is not done. Steps that are done are replayed: their output and their status are the same.
When the script has succeeded, another start replays the script as a whole.

  1  set -e ends the script at the first step that fails. "set -o pipefail" is
     for pipelines.
  2  The second of the two lines makes the script the command of a run, once.
     The key names the operation, so it has what distinguishes one deploy from
     another.
  3  --resumable runs the script again after a kill. It is right if every
     effect of the script is in a step. Without it, a script that was killed
     is refused (79) until you have looked.
  4  Each name is a step. Names say what is done, not in which order. In a
     loop, the name has the item: idem step "load-$file" -- ./load.sh "$file"
  5  A step that was killed itself is refused (79): its effect may be there or
     not. Either its command may safely run twice (--on-interrupted rerun), or
     a command can find out (--probe CMD), or the service is told IDEM_TOKEN,
     which is the same in each attempt.

What to look out for:

  - "export X=$(...)" and "local X=$(...)" hide the failure of a step.
    Write: X=$(...); export X
  - Start the script by its path: ./deploy.sh 1. After "bash deploy.sh 1",
    "$0" is not a path.
  - Put a pipeline into one step:
    idem step load -- bash -o pipefail -c './a | ./b'
  - A file that a step writes is not written again by a replay. Let a step
    print what later steps need, or keep the file.
  - sudo, ssh, su and env -i drop the variables of the run. Write:
    sudo --preserve-env=IDEM_KEY,... or --in.
  - "wait" without the pid of a step in the background hides its failure.
    Write: wait "$pid"
  - A corrected script is still the same run. A changed command of a step is
    refused (65).
  - A list of items is a batch, not a loop of steps. See idem help batches.
  - To begin from the start with new steps: idem forget deploy:1
    To run one step again: idem forget deploy:1/build
    To see the steps: idem show deploy:1`

// scriptsHelp is the page of idem help scripts.
func scriptsHelp() string { return pageOf(scriptsText, scriptLines) }

// pageOf returns the text of a page, in which scripts take the places of the % signs.
func pageOf(text string, scripts ...string) string {
	for _, script := range scripts {
		text = strings.Replace(text, "%", indent(indent(script)), 1)
	}
	return strings.ReplaceAll(noteText(text), "\n  \n", "\n\n") + "\n"
}
