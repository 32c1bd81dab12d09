// Chaos tries to break the promises of idem and reports whether it could:
//
//	go run ./test/chaos [--quick] [--seed N] [--json FILE] [PART...]
//
// Each part is a package below this directory. It prints its figures: how much it
// tried, and how often each promise was broken, which must be 0. The first part
// with a broken promise ends the program with status 1 and the evidence, and
// leaves its directory for inspection. A part that lacks a tool or a privilege is
// skipped with a message; with CI=true that is a failure. A full run with --json is
// refused with status 2 while the working tree has uncommitted changes.
package main

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"idem/test/chaos/collect"
	"idem/test/chaos/copies"
	"idem/test/chaos/damage"
	"idem/test/chaos/full"
	"idem/test/chaos/kill"
	"idem/test/chaos/lab"
	"idem/test/chaos/mutex"
	"idem/test/chaos/power"
	"idem/test/chaos/resume"
	"idem/test/chaos/shared"
	"idem/test/chaos/shared/hosts"
	"idem/test/chaos/signals"
	"idem/test/chaos/steps"
	"idem/test/chaos/syscalls"
	"idem/test/chaos/triggers"
	"idem/test/internal/rig"
)

// children are the roles in which this program starts itself. idem runs some of them as
// its commands. The parts start the rest.
var children = map[string]func(args []string) int{
	"command":         lab.Command, // of steps, power and full
	"locked-command":  kill.Command,
	"mutex-command":   mutex.Command,
	"worker":          kill.Worker,
	"daemon":          kill.Daemon,
	"resume-command":  resume.Command,
	"resume-script":   resume.Script,
	"trigger-command": triggers.Command,
	"collect-command": collect.Command,
	"group-leader":    power.GroupLeader,
	"shared-host":     hosts.Agent,
	"shared-command":  shared.Command,
	"shared-worker":   shared.Worker,
	"shared-effect":   shared.Effect,
	"shell":           signals.Shell,
	"counter":         signals.Counter,
}

// part is one way to break idem.
type part struct {
	rig.Part
	run func(*lab.Lab) error
}

var parts = []part{
	{rig.Part{Name: "kill", What: "SIGKILL of idem, the command, both and leftovers at random times"}, kill.Run},
	{rig.Part{Name: "mutex", What: "SIGKILL of calls with mutexes, while they wait and while they run"}, mutex.Run},
	{rig.Part{Name: "triggers", What: "calls with --wait=fresh at random times, some of them killed"}, triggers.Run},
	{rig.Part{Name: "each-kill", What: "SIGKILL of idem each, its commands and both, while two calls share a list"}, resume.Each},
	{rig.Part{Name: "step-kill", What: "SIGKILL of idem run, idem step and their commands, while two calls run a script of steps"}, resume.Step},
	{rig.Part{Name: "steps", What: "SIGKILL of idem at every point at which the ledger is in another state"}, steps.Run},
	{rig.Part{Name: "copies", What: "SIGKILL of idem ledger backup at random times, while callers use the ledger"}, copies.Run},
	{rig.Part{Name: "collect", What: "SIGKILL of idem gc at random times, while callers use the ledger"}, collect.Run},
	{rig.Part{Name: "power", What: "power cuts of the ledger's disk"}, power.Run},
	{rig.Part{Name: "full", What: "a disk that fills up and empties at random times"}, full.Run},
	{rig.Part{Name: "damage", What: "the files of a ledger flipped, overwritten, truncated and deleted"}, damage.Run},
	{rig.Part{Name: "syscalls", What: "system calls of idem that fail, each in turn"}, syscalls.Run},
	{rig.Part{Name: "shared", What: "two hosts on one PostgreSQL: kills, cuts of the network, restarts of the server and the pooler"}, shared.Run},
	{rig.Part{Name: "shared-pauses", What: "holders on one of two hosts that are frozen for longer than their lease"}, shared.Pauses},
	{rig.Part{Name: "shared-commits", What: "answers to the commits of a start and of an end that do not arrive"}, shared.Commits},
	{rig.Part{Name: "shared-outages", What: "a server that is away, and promotions of its standby"}, shared.Outages},
	{rig.Part{Name: "shared-done", What: "kills under commands that end their key in a transaction of their own"}, shared.Done},
	{rig.Part{Name: "signals", What: "every signal, from every sender, to every kind of command, on a terminal and in every phase of a call"}, signals.Run},
}

func main() { rig.Main("chaos", children, chaos) }

func chaos(args []string) error {
	var o lab.Options
	var list []rig.Part
	for _, p := range parts {
		list = append(list, p.Part)
	}
	program := rig.NewProgram("chaos", list...)
	flags := program.Flags
	flags.BoolVar(&o.Quick, "quick", false, "do about a tenth of everything")
	flags.IntVar(&o.Keys, "keys", 0, "kill, mutex: use at least this many keys (0: 1000, quick 100; mutex 20); shared: use so many at a time (0: 40, quick 20)")
	flags.IntVar(&o.Kills, "kills", 0, "kill, mutex, each-kill, step-kill: make at least this many kills (0: 5000, quick 500; mutex 500, the others 1000, quick 60)")
	flags.IntVar(&o.Parallel, "parallel", 8, "work on this many keys, kills or disks at a time (not power)")
	flags.StringVar(&o.Trial, "trial", "", "damage, syscalls: make only the trial of this `NAME`")
	flags.DurationVar(&o.Wait, "wait", time.Minute, "signals: fail if an expected event takes longer; usually it takes less than a hundredth")
	seed := flags.Uint64("seed", 0, "use this seed for everything random (0: any)")
	if err := program.Parse(args, "seed", "parallel", "wait"); err != nil {
		return err
	}
	if runtime.GOOS != "linux" {
		return errors.New("needs Linux: it finds the processes to kill in /proc")
	}
	if err := lab.OwnMounts(flags.Args()); err != nil {
		return err
	}
	for *seed == 0 {
		*seed = rand.Uint64N(1_000_000)
	}
	return program.Run(rig.Verdict{Seed: *seed}, func(name, dir, self, idem string) (*rig.Table, func() error) {
		l := &lab.Lab{Dir: dir, Idem: idem, Given: program.Idem != "", Self: self, Seed: *seed, Options: o}
		i := slices.IndexFunc(parts, func(p part) bool { return p.Name == name })
		return &l.Figures, func() error { return parts[i].run(l) }
	})
}
