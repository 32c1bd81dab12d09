package cmd

import (
	"os"

	"github.com/spf13/pflag"

	"idem/runner"
	"idem/sidefile"
)

// replayFiles are the files of --replay-file. A replay appends the additions of the
// command to them.
type replayFiles struct{ paths []string }

func (o *replayFiles) addTo(f *pflag.FlagSet) {
	f.Var((*texts)(&o.paths), "replay-file", "record what the command appends to the file `PATH`, and append it again on a replay; repeatable")
}

// files returns the files, those of a CI job first. A file of a CI job is identified
// by the name of its variable, because its path differs in each step. A given file
// is identified by its path, or else by its position among the given files. A
// variable without a usable file is ignored, because a job may discard its outputs.
func (o *replayFiles) files() ([]sidefile.File, error) {
	var files []sidefile.File
	if onGitHub() {
		for _, name := range []string{"GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"} {
			if path := os.Getenv(name); path != "" && sidefile.Check(path) == nil {
				files = append(files, sidefile.File{Name: name, Path: path})
			}
		}
	}
	for i, path := range o.paths {
		if path == "" {
			return nil, usage("--replay-file is empty: a variable may be unset")
		}
		if err := sidefile.Check(path); err != nil {
			return nil, usage("--replay-file: %v", err).hint("use an existing file, or a new one in an existing directory")
		}
		files = append(files, sidefile.File{Name: path, Place: i + 1, Path: path})
	}
	return files, nil
}

// reportLosses prints a warning for each addition to a file that is lost: to later
// replays or, if this call is a replay, to this one.
func (a *app) reportLosses(res runner.Result) {
	where := "recorded"
	if res.Action == runner.ActionReplay {
		where = "in this replay"
	}
	for _, loss := range res.Losses {
		a.ui.warn("the addition to file %s is not %s: %v", quote(loss.Name), where, loss.Err)
	}
}
