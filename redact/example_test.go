package redact_test

import (
	"fmt"

	"idem/redact"
)

// A secret is removed although it arrives in two pieces. The stream holds back
// an unfinished line until Flush.
func Example() {
	r, err := redact.New([]string{`card=\d+`}, []string{"hunter2"})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := r.Stream(func(p []byte) { fmt.Printf("%s", p) })
	s.Write([]byte("card=4711 paid\npassword hunt"))
	s.Write([]byte("er2 accepted\n"))
	s.Flush()
	// Output:
	// [redacted] paid
	// password [redacted] accepted
}
