package cmd

import (
	"os"

	"github.com/spf13/pflag"

	"idem/runner"
	"idem/sidefile"
)

// replayFiles are the files to which a replay appends what the command did.
type replayFiles struct{ paths []string }

func (o *replayFiles) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.paths, "replay-file", nil, "record what the command appends to the file `PATH`, and append it again on a replay; repeatable")
}

// files returns them, those of a CI job first: they are known by the names of
// their variables, since each step has other paths. One that is given is known
// by its path, else by which of those given it is. A variable that names
// no file, as of a job that throws its outputs away, is left alone.
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

// tellLosses warns of what a later replay lacks or, in one, of what this one does.
func (a *app) tellLosses(res runner.Result) {
	where := "recorded"
	if res.Action == runner.ActionReplay {
		where = "in this replay"
	}
	for _, loss := range res.Losses {
		a.ui.warn("the addition to file %s is not %s: %v", quote(loss.Name), where, loss.Err)
	}
}
