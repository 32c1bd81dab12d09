package cmd

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// --retry-max-delay wins if it is given. Its default yields to a longer first
// delay.
func TestRetryMaxDelay(t *testing.T) {
	for _, test := range []struct {
		args []string
		want time.Duration
	}{
		{nil, time.Minute},
		{[]string{"--retry-delay", "5m"}, 5 * time.Minute},
		{[]string{"--retry-delay", "5m", "--retry-max-delay", "1m"}, time.Minute},
		{[]string{"--retry-max-delay", "100ms", "--retry-delay", "3s"}, 100 * time.Millisecond},
		{[]string{"--retry-max-delay", "0"}, 0},
	} {
		o := newOutcomeFlags()
		f := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.addTo(f)
		if err := f.Parse(test.args); err != nil {
			t.Fatal(err)
		}
		if got := o.retryPolicy().MaxDelay; got != test.want {
			t.Errorf("%q: got %v, want %v", test.args, got, test.want)
		}
	}
}
