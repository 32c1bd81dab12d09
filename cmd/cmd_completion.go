package cmd

import (
	_ "embed"
	"strings"

	"github.com/spf13/cobra"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

// The completion scripts. Each calls idem, see complete.go. None executes a part of the line, as
// those of cobra do.
var (
	//go:embed completion/idem.bash
	bashScript string
	//go:embed completion/idem.zsh
	zshScript string
	//go:embed completion/idem.fish
	fishScript string
)

const completionLong = `Print the completion script for a shell: bash, zsh, fish or powershell.

  bash    . <(idem completion bash)                in ~/.bashrc
  zsh     . <(idem completion zsh)                 in ~/.zshrc, after compinit
  fish    idem completion fish | source            in ~/.config/fish/config.fish

It completes recorded keys, windows, namespaces, the words that a flag takes,
files, and the command that idem runs. If many keys begin with a text, it offers
their parts up to the next : or /. A shared ledger has no index of its keys in
their order. There it offers those of the 1000 with the latest attempts, among
the keys that begin with the text.

Completion changes no ledger. If the ledger does not answer in a quarter of a
second, it offers nothing. Keys with a backslash are not offered. In bash, the
arguments of the command require the package bash-completion.`

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print the completion script for a shell",
		Long:      completionLong,
		Example:   "  . <(idem completion bash)",
		Args:      oneArg("shell"),
		ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			root, out := c.Root(), c.OutOrStdout()
			switch args[0] {
			case "bash":
				return a.print(bashScript)
			case "zsh":
				return a.print(zshScript)
			case "fish":
				return a.print(fishScript)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usage("no completion for shell %s", quote(args[0])).detail("want one of %s", strings.Join(shells, ", "))
		},
	}
}
