package hashkey_test

import (
	"fmt"

	"idem/hashkey"
)

// Two calls are the same call if their inputs have the same fingerprint.
func Example() {
	first := hashkey.Argv([]string{"./pay.sh", "4711"})
	second := hashkey.Argv([]string{"./pay.sh", "4712"})
	fmt.Println(first.Fingerprint() == second.Fingerprint())
	for _, change := range hashkey.Diff(first, second) {
		fmt.Printf("%s: was %s, now %s\n", change.Name, change.Old, change.New)
	}
	// Output:
	// false
	// argument 1: was 4711, now 4712
}

// A key with an empty part is refused, because a variable was probably unset.
func ExampleCheckKey() {
	fmt.Println(hashkey.CheckKey("deploy:v1.2", false))
	fmt.Println(hashkey.CheckKey("deploy:", false))
	fmt.Println(hashkey.CheckKey("deploy:", true))
	// Output:
	// <nil>
	// has an empty part
	// <nil>
}
