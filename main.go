// Command idem runs a command once per key and remembers what happened.
//
// GOMAXPROCS keeps the value of the start. By default, Go's runtime starts a goroutine in
// every call, and reads the limit of the cgroup again and again.
//
//go:debug updatemaxprocs=0
package main

import (
	"os"

	"idem/cmd"
	_ "idem/internal/entry" // the entry point with -ldflags=-E=idem_start
)

func main() { os.Exit(cmd.Main(os.Args[1:])) }
