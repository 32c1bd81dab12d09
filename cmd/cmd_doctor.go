package cmd

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"idem/ledger"
	"idem/ledger/drivers"
)

const doctorLong = `Look for what may be wrong with idem here: the ledger and its place, the disk,
the keys, the limits of this process, the environment. Each line begins with
ok, note, warning or error, and a hint says what to do.

idem doctor changes nothing and takes 0.3 s for 100,000 keys: it examines the
ledger as idem ledger check --quick does. It connects to no other host, except
for a ledger at a URL. Without -v, its output has no keys and no values of
variables, so it can be a part of a bug report.`

func (a *app) doctorCommand() *cobra.Command {
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:     "doctor",
		Short:   "Look for what may be wrong with idem here",
		Long:    doctorLong,
		Example: `  idem doctor`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &doctor{app: a, verbose: verbose}
			d.examine(c.Context())
			return a.reportChecks(checkedHost, publicURL(d.place), d.Report, nil, asJSON)
		},
	}
	f := c.Flags()
	f.BoolVarP(&verbose, "verbose", "v", false, "also name keys, and the values of variables")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// doctor collects the lines of idem doctor.
type doctor struct {
	*app
	ledger.Report
	verbose bool
	place   string       // of the ledger; empty if there is none for this call
	store   ledger.Store // nil if it cannot be opened
}

// doctorCheck is one check. It adds its lines to the doctor.
type doctorCheck struct {
	name string
	run  func(*doctor, context.Context, string)
}

// doctorChecks returns the checks in the order in which they are made. Those about keys need
// the ledger that an earlier one has opened.
func doctorChecks() []doctorCheck {
	return []doctorCheck{
		{"version", (*doctor).checkVersion},
		{"environment", (*doctor).checkEnvironment},
		{"path", (*doctor).checkPath},
		{"others", (*doctor).checkOthers},
		{"ledger", (*doctor).checkLedger},
		{"disk", (*doctor).checkDisk},
		{"outputs", (*doctor).checkOutputs},
		{"keys", (*doctor).checkKeys},
		{"clock", (*doctor).checkClock},
		{"limits", (*doctor).checkLimits},
		{"zone", (*doctor).checkZone},
		{"programs", (*doctor).checkPrograms},
	}
}

func (d *doctor) examine(ctx context.Context) {
	for _, c := range doctorChecks() {
		c.run(d, ctx, c.name)
	}
	for i := range d.Lines {
		if d.Lines[i].Level == ledger.LevelFault {
			d.Lines[i].Level = levelError
		}
	}
}

// fails adds a line for an error, with the hints of a call that gets it.
func (d *doctor) fails(name string, err error) {
	f := failureOf(err)
	text := f.text()
	if fault := (*ledger.Fault)(nil); !d.verbose && errors.Is(err, ledger.ErrCorrupt) && !errors.As(err, &fault) {
		text = "it is damaged" // the error may name a key
	}
	d.Add(ledger.LevelFault, name, "%s", text).Hint = d.hintLines(f)
}

// checkPath looks for the place of the ledger.
func (d *doctor) checkPath(_ context.Context, name string) {
	place, by, err := choosePlace(d.app.ledger, os.Getenv)
	if err != nil {
		d.fails(name, err)
		return
	}
	d.place = place
	why := by.text()
	if d.verbose {
		why = by.textOf(os.Getenv)
	}
	d.Add(ledger.LevelOK, name, "%s; %s", publicURL(place), why)
}

// inDirectory reports whether the call has a ledger in a directory.
func (d *doctor) inDirectory() bool { return d.place != "" && !drivers.IsShared(d.place) }
