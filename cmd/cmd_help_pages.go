package cmd

import "strings"

// textTopic is a page of idem help TOPIC without flags.
type textTopic struct {
	topic, title string
	about        string // for the list of topics
	text         func() string
	apart        bool // not a section of idem run --help
}

var textTopics = []textTopic{
	{"exit-status", "Exit status", "the exit statuses of idem run", exitHelp, false},
	{"environment", "Environment", "the variables that idem reads and sets", environmentHelp, false},
	{"scripts", "Scripts with steps", "a script becomes resumable in five lines", scriptsHelp, true},
	{"batches", "Loops as batches", "a loop over a list becomes a batch in one line", batchesHelp, true},
	{"shell", "Shell", "two commands, pipes, variables, functions, loops, sudo", shellHelp, true},
}

// variableGroup is a section of the help about the environment.
type variableGroup struct {
	intro string
	rows  []variableRow
}

// variableRow explains some environment variables.
type variableRow struct{ names, text string }

var variableGroups = []variableGroup{
	{"", []variableRow{
		{"IDEM_LEDGER", "the absolute directory or the URL of the ledger; like --ledger"},
		{"IDEM_TRUST_PLACE", "1: like --trust-place"},
		{"IDEM_NAMESPACE", "the namespace; like --namespace"},
		{"IDEM_DISABLE", "1: idem run and idem step only run the command; they ignore all of their flags but -n; idem each runs it for each item of the list, in order"},
		{"IDEM_CI", "off: ignore GITHUB_ACTIONS=true"},
		{"IDEM_PAGER, PAGER", "the pager for idem list, show, logs and help on a terminal (default less); cat: none"},
		{"TZ", "the time zone of the calendar without --tz, as a name of the tz database"},
		{"STATE_DIRECTORY, XDG_STATE_HOME, HOME", "the default place of the ledger; idem ignores a relative XDG_STATE_HOME or HOME, and refuses several or relative directories in STATE_DIRECTORY (status 64)"},
	}},
	{"For a ledger at a URL, it reads these, too:", []variableRow{
		{"PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGPASSFILE, PGSERVICE, ...", "what the URL leaves out, as for psql"},
		{"IDEM_PG_PASSWORD_COMMAND", "a shell command that prints the password of each new connection"},
		{"STATE_DIRECTORY, XDG_STATE_HOME, HOME", "the files of this host for the ledger are below the default place"},
	}},
	{"The command gets these variables:", []variableRow{
		{"IDEM_KEY, IDEM_NAMESPACE, IDEM_WINDOW", "the record that the command runs for"},
		{"IDEM_RUN_ID", "a UUID of this attempt; UUIDs of later attempts sort after it"},
		{"IDEM_ATTEMPT", "the number of this attempt"},
		{"IDEM_FENCE", "a number that grows with each attempt of the key"},
		{"IDEM_TOKEN", "a UUID for Idempotency-Key headers: the same for every attempt, different in each window; IDEM_TOKEN_HEX is the same without dashes"},
		{"IDEM_LEDGER", "the ledger; with --trust-place, IDEM_TRUST_PLACE=1 is set too"},
		{"IDEM_CHAIN", "the attempts and first probes that the command runs inside of"},
	}},
	{"The command of an item of idem each gets these, too:", []variableRow{
		{"IDEM_ITEM", "the item, or its key field; not set if it is longer than 64 KiB"},
		{"IDEM_ITEM_NO", "the number of the item in this list"},
		{"IDEM_SLOT", "a number from 1 to that of -j; items that run at the same time have different ones"},
	}},
	{"A probe and a verification get the same variables, about the attempt in\n  question, and IDEM_EVENT: probe or verify.", nil},
	{"A hook gets the same variables, about the attempt that ran, is replayed or\n  caused a refusal, and:", []variableRow{
		{"IDEM_EVENT", "the event"},
		{"IDEM_EXIT_CODE", "the exit status of idem, 128+n if it dies of signal n; empty at start"},
		{"IDEM_REASON", "the reason in the JSON object of --meta-file, such as failed or inexact"},
	}},
}

// commandExits returns the exit statuses of the commands, by name. It leaves out idem
// run, which has all rows of exitTable. A row without a meaning has the meaning in
// exitTable.
func commandExits() map[string][]exitRow {
	return map[string][]exitRow{
		"check": {
			{"0", "idem run would replay a result: a success, or a failure that --on-failure replay or --final keeps"},
			{"1", "idem run would start the command or, without --ask, ask the probe or the verification"},
			{"64", badUsage},
			{"65", ""},
			{"69", "the ledger cannot be used, or idem run would replay an output that is damaged"},
			{"74", "idem run would replay a result, but a part of its output is missing"},
			{"75", ""},
			{"79", ""},
			{"80", ""},
		},
		"each": {
			{"0", "all items are done; those that --only and --limit leave out do not count"},
			{"1", "--dry-run: items would run"},
			{"64", "bad usage: a flag, a key, the command or a placeholder"},
			{"65", "the command of the batch has changed, items are recorded with other fields, or lines that are not items"},
			{"69", "the ledger cannot be used"},
			{"74", "all items are done, but their output could not be written, or a part of it is missing"},
			{"75", "other calls are running items (--no-wait)"},
			{"79", "items were interrupted and may be done"},
			{"80", "items failed before, and a flag prevents another run"},
			{"123", "items failed"},
			{"125", "items ran, and their outcome could not be recorded"},
			{"126", "the command was found but cannot be executed; nothing is recorded"},
			{"127", "the command was not found; nothing is recorded"},
			{"128+n", "signal n ended the call; idem dies of it. Of several statuses, the order is 64, 69, 125, 128+n, 126 or 127, 79, 65, 80, 123, 75, 74"},
		},
		"explain":        {{"1", notWritten}, {"64", badUsage}, {"69", badLedger}},
		"key":            {{"1", "the key is not known yet, because it depends on a secret that the first run creates; or " + notWritten}, {"64", badUsage}, {"69", badLedger}},
		"token":          {{"1", notWritten}, {"64", badUsage}, {"69", badLedger}},
		"list":           {{"1", "nothing is recorded under the key of --under, or " + notWritten}, {"64", badUsage}, {"69", badLedger}},
		"stats":          {{"1", notWritten}, {"64", badUsage}, {"69", badLedger + "; or the file of --output could not be replaced"}},
		"gc":             {{"1", notWritten}, {"64", badUsage}, {"69", badLedger + ", or has no space for --vacuum full"}},
		"report":         {{"1", notWritten}, {"64", badUsage}, {"69", badLedger + "; or the file could not be replaced"}},
		"show":           {{"1", unrecorded + ", or " + notWritten}, {"64", badUsage}, {"69", badLedger}},
		"logs":           {{"1", "nothing is recorded under the key, it has no such attempt, or " + notWritten}, {"64", badUsage}, {"69", badLedger}},
		"ledger path":    {{"1", notWritten}, {"64", badUse}, {"69", "no place for the ledger is known"}},
		"ledger check":   {{"0", "no fault was found"}, {"1", noLedgerHere}, {"64", badUse}, {"69", badLedger + ", or a fault was found"}},
		"ledger export":  {{"1", notWritten}, {"64", badUse}, {"69", badLedger + ", or there is none"}},
		"ledger import":  {{"1", notWritten}, {"64", badUse}, {"65", "the file is damaged, or this ledger has keys in another state"}, {"69", badLedger}, {"75", "other calls hold keys of the file"}},
		"ledger repair":  {{"1", noLedgerHere}, {"64", badUse}, {"69", badLedger + ", or all files with outputs are gone"}, {"75", "the keys of some outputs are running or changed"}},
		"ledger backup":  {{"1", noLedgerHere}, {"64", badUse}, {"69", badLedger + ", or the copy could not be made"}, {"75", "the same copy is being made"}},
		"ledger restore": {{"1", "the answer to the question was no, or " + notWritten}, {"64", badUse + "; or keys would run again, without --yes"}, {"69", badLedger + ", or the backup cannot be used"}, {"75", "a call uses the ledger, or the same restore is being made"}},
		"ledger move":    {{"1", noLedgerHere}, {"64", badUse}, {"69", badLedger + ", or the copy could not be made"}, {"75", "a call uses the ledger, or the same copy is being made"}},
		"ledger init":    {{"1", notWritten}, {"64", badUse}, {"69", badTables}},
		"ledger confirm": {{"1", notWritten}, {"64", badUse}, {"69", badTables}},
		"ledger sync":    {{"1", notWritten}, {"64", badUse}, {"69", badLedger + ", or not everything could be sent"}},
		"ledger upgrade": {{"1", notWritten}, {"64", badUse}, {"69", badTables}},
		"doctor": {
			{"0", "there is no error; there may be warnings"},
			{"1", "there is an error, or " + notWritten},
			{"64", badUsage},
		},
		"completion": {{"1", notWritten}, {"64", badUsage}},
		"version":    {{"1", notWritten}, {"64", badUsage}},
		"forget":     {{"1", unrecorded + "; the other keys are forgotten anyway"}, {"64", badUsage}, {"69", badLedger}, {"75", ""}},
		"mark":       {{"1", unrecorded + " (retry)"}, {"64", badUsage}, {"65", ""}, {"69", badLedger}, {"75", ""}},
		"wait": {
			{"0", "all keys succeeded"},
			{"64", badUsage},
			{"69", badLedger},
			{"75", "a key was not settled before --timeout"},
			{"79", "an attempt was interrupted and its outcome is unknown"},
			{"other", "the recorded status of the first key, in the order given, that failed"},
		},
	}
}

const (
	badUsage     = "bad usage: a flag, an argument, a key or a window"
	badLedger    = "the ledger cannot be used"
	badUse       = "bad usage: a flag, an argument, a URL, or what this kind of ledger does not have"
	badTables    = badLedger + ", or this role may not do it"
	unrecorded   = "nothing is recorded under a key"
	notWritten   = "the output could not be written"
	noLedgerHere = "there is no ledger, or " + notWritten
)

// exitsOf returns the exit statuses of a command, nil for a command without any.
func exitsOf(command string) []exitRow {
	if command == "run" || command == "step" {
		return exitTable
	}
	var rows []exitRow
	for _, row := range commandExits()[command] {
		for _, is := range exitTable {
			if row.meaning == "" && is.code == row.code {
				row.meaning = is.meaning
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func exitHelp() string { return exitList(exitTable) }

func exitList(exits []exitRow) string {
	rows := make([]helpRow, len(exits))
	for i, row := range exits {
		rows[i] = helpRow{"  " + row.code, row.meaning}
	}
	return helpRows(rows, 9)
}

func environmentHelp() string {
	const column = 19
	var b strings.Builder
	for _, g := range variableGroups {
		if g.intro != "" {
			b.WriteString("\n  " + g.intro + "\n")
		}
		var rows []helpRow
		for _, r := range g.rows {
			rows = append(rows, helpRow{"  " + r.names, r.text})
		}
		b.WriteString(helpRows(rows, column))
	}
	return b.String()
}
