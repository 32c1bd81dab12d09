// Hello prints a line. Its start costs the least that the start of a Go program can
// cost.
package main

import "fmt"

func main() { fmt.Println("hello, world") }
