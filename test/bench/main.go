// Bench measures the cost of idem and compares it with other programs:
//
//	go run ./test/bench [--quick] [--old PATH] [--json FILE] [--svg FILE]
//
// All programs run once in each round, in random order. It prints medians. A ratio is
// the median of the ratios of the rounds. It also prints the demands on idem and whether
// each is met, but no time is an error. The exit status is 1 only for a failure, such as
// an output that differs. With --old, an earlier idem runs in the same rounds, and the
// demands show its figures too. A full run with --json is refused with status 2 while the
// working tree has uncommitted changes.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"idem/test/internal/rig"
)

// options are the flags.
type options struct {
	quick, realtime             bool
	json, svg, from, idem, work string
	old                         string
	keys                        int
}

func main() { rig.Main("bench", map[string]func([]string) int{"gate": rig.Gate}, run) }

func run(args []string) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.BoolVar(&o.quick, "quick", false, "few rounds, no 1 GiB, and only the contenders that are installed")
	flags.BoolVar(&o.realtime, "realtime", false, "run all under SCHED_FIFO by chrt, which requires the permission: less noise on a busy machine, but unlike a usual call")
	flags.StringVar(&o.json, "json", "", "write everything that was measured to this `FILE`")
	flags.StringVar(&o.svg, "svg", "", "draw a bar chart into this `FILE`")
	flags.StringVar(&o.from, "from", "", "measure nothing: print the result that --json wrote to this `FILE`")
	flags.StringVar(&o.idem, "idem", "", "measure the program at this `PATH` instead of building idem")
	flags.StringVar(&o.old, "old", "", "also measure the program at this `PATH`, an idem of an earlier commit, in the same rounds")
	flags.StringVar(&o.work, "work", "", "measure only the column `NAME`, such as true or 100 MiB, or each, or shared, which requires PostgreSQL and PgBouncer")
	flags.IntVar(&o.keys, "keys", -1, "also measure a replay from a ledger of `N` keys, and keep that ledger for the next run (0: none; -1: 1,000,000, quick none)")
	_ = flags.Parse(args) // exits after an error
	if o.keys < 0 {
		o.keys = 1_000_000
		if o.quick || o.work != "" {
			o.keys = 0
		}
	}
	if o.realtime && os.Getenv(fifo) == "" {
		return underFIFO()
	}

	if o.from == "" && !o.quick {
		if err := rig.MayKeep(o.json, o.idem); err != nil {
			return err
		}
	}
	if was, err := load(o.json); o.quick && err == nil && !was.Quick {
		return fmt.Errorf("%s is of a full run: a quick one does not replace it", o.json)
	}
	r, err := o.result()
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	if o.json != "" {
		b, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = rig.Write(o.json, append(b, '\n'))
		}
		if err != nil {
			return err
		}
	}
	if o.svg != "" {
		return rig.Write(o.svg, r.chart())
	}
	return nil
}

// result measures, or reads the result of an earlier measurement.
func (o *options) result() (*result, error) {
	if o.from == "" {
		return measure(o)
	}
	return load(o.from)
}

// load reads a file that --json has written.
func load(file string) (*result, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(result)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if r.Schema != schema {
		return nil, fmt.Errorf("%s: schema %d, not %d", file, r.Schema, schema)
	}
	return r, nil
}

// fifo is the variable that marks a process that already runs under SCHED_FIFO.
const fifo = "BENCH_FIFO"

// underFIFO executes this program under SCHED_FIFO, which all children inherit.
func underFIFO() error {
	chrt, err := exec.LookPath("chrt")
	if err != nil {
		return fmt.Errorf("--realtime: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := append([]string{chrt, "--fifo", "10", self}, os.Args[1:]...)
	return syscall.Exec(chrt, argv, append(os.Environ(), fifo+"=1"))
}
