package proc

// Shell returns the execution of a script that the user has given as one word:
// sh -c, as system(3).
func Shell(script string) Command {
	return Command{Path: shell, Args: []string{"sh", "-c", script}}
}
