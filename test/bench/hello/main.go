// Hello is the Go program that everybody writes first: the least that a start
// of any other can cost.
package main

import "fmt"

func main() { fmt.Println("hello, world") }
