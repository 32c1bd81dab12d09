package cmd

// eachGroups has the flags that only idem each has, and those that mean another thing there.
// The page of idem help batches explains them.
var eachGroups = []flagGroup{
	{
		topic: "batches", title: "List",
		flags: []string{"arg-file", "null", "csv", "tsv", "jsonl", "key-field", "strict-newline", "skip-bad"},
	},
	{
		topic: "batches", title: "Command of an item",
		flags: []string{"replace", "item-on-stdin"},
	},
	{
		topic: "batches", title: "Which items, how many at once",
		flags: []string{"jobs", "rate", "limit", "only", "no-wait", "dry-run"},
	},
	{
		topic: "batches", title: "Stopping after failures",
		flags: []string{"fail-fast", "max-failures", "stop-on", "kill-running"},
	},
	{
		topic: "batches", title: "Output of items",
		flags: []string{"order", "tag", "replay", "progress", "quiet-ok"},
	},
	{
		topic: "batches", title: "Events and hooks",
		flags: []string{"events", "events-fd", "events-skipped", "hook", "item-hooks"},
	},
	{
		title: "Run of the batch",
		flags: []string{"in", "window"},
	},
}

// loopLines is the loop of idem help batches, and batchLines the batch. A test compares
// their effects, and interrupts the batch.
const (
	loopLines  = `while read -r address; do ./send-mail "$address"; done <addresses.txt`
	batchLines = `idem each --key mails:2026-11 -- ./send-mail {} <addresses.txt`
)

const batchesText = `A loop over a list becomes a batch in one line. Instead of

%

write

%

Started again after a failure, a kill or a power cut, the same line runs what is not done, each item
once. The list may be longer by then, shorter, or sorted: an item is found again by its value.

  1  The key names the batch. The item x has the key mails:2026-11/x, which
     show, logs, mark and forget take. In a script with steps, a name is
     enough: idem each mails -- ./send-mail {}
  2  {} is the item. No shell is involved, so quotation marks and spaces in an
     item mean nothing. A body of several commands becomes a script, or a
     function that gets the item:
     export -f body; idem each --key mails:2026-11 -- bash -c 'body "$1"' _ {}
  3  -j 4 runs four items at once, --rate 10/s starts at most ten in a second,
     and --retries 3 tries a failed item again in this call. The next call
     tries it again in any case.
  4  A table has fields:
     idem each --key june --csv --key-field id -- ./bill {id} {sum} <june.csv
     --key-field says which field is the item. An item that is done and comes
     with another amount is refused (65), not billed again.
  5  An item that was killed is refused (79): its effect may be there or not.
     Either its command may safely run twice (--on-interrupted rerun), or a
     command can find out (--probe CMD), or the service is told IDEM_TOKEN,
     which is the same in each attempt of the item.

What to look out for:

  - A failure does not end the batch, which exits with 123 after the last
    item. --fail-fast starts nothing more after the first failure.
  - The command of an item is a separate process, so variables that it sets
    are lost. Its stdin is /dev/null, so ssh cannot read the rest of the list.
  - In a pipeline, set -o pipefail, and use --strict-newline if the list may
    be cut off.
  - For names of files:
    find . -name '*.jpg' -print0 | idem each --key thumbs -0 -- ./thumb {}
  - Another command under the same key is refused (65), until --on-mismatch
    says what becomes of the items that are done: keep or rerun.
  - "until idem each ...; do sleep 60; done" never ends at 65, 79 or 80, which
    need a person.
  - To see what would happen: --dry-run. To see what happened, and to print
    the failed items as a list:
    idem show mails:2026-11
    idem list --under mails:2026-11 --failed --items
  - To run one item again, or all of them, forget it and repeat the line:
    idem forget mails:2026-11/x
    idem forget mails:2026-11`

// batchesHelp is the page of idem help batches.
func batchesHelp() string { return pageOf(batchesText, loopLines, batchLines) }
