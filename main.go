// Command idem runs a command once per key and remembers what happened.
package main

import (
	"os"

	"idem/cmd"
	_ "idem/internal/entry" // the entry point with -ldflags=-E=idem_start
)

func main() { os.Exit(cmd.Main(os.Args[1:])) }
