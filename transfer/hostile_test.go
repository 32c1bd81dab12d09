package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"idem/ledger"
)

// TestWhatNoWriterWrites is refused, although its sums fit.
func TestWhatNoWriterWrites(t *testing.T) {
	k := newKit(t)
	o := success
	o.Files = []ledger.File{{Name: "f", Content: []byte("x")}}
	k.run(key("a"), ledger.Start{}, o)
	k.run(key("gone"), ledger.Start{}, success)
	k.ok(k.l.Forget(t.Context(), key("gone")))
	text := string(bodies(k.export()))
	secret := fmt.Sprintf(`"secret":%q,"secret_id":`, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	for name, c := range map[string]struct{ old, new, want string }{
		"a secret with another ID":   {`"secret":null,"secret_id":`, secret, "line 1: it is not a line of an export"},
		"an empty secret":            {`"secret":null`, `"secret":""`, "line 1: it is not a line of an export"},
		"a short line of a file":     {`"more":false`, `"more":true`, "the size of the file is not possible"},
		"a long line of a file":      {`"data":"eA=="`, `"data":"` + strings.Repeat("AAAA", lineFile/3+1) + `"`, "the size of the file is not possible"},
		"a number without head room": {`"generation":2`, `"generation":9007199254740991`, `the key "gone" has impossible numbers`},
	} {
		if !strings.Contains(text, c.old) {
			t.Fatalf("%s: no %s in\n%s", name, c.old, text)
		}
		_, err := newKit(t).importAll(signAll([]byte(strings.Replace(text, c.old, c.new, 1))), Refuse)
		if bad := (*Error)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %s", name, err, c.want)
		}
	}
}

// TestALargeFileIsRefused: the lines of a file are read one after the other, and its size is bounded.
func TestALargeFileIsRefused(t *testing.T) {
	k := newKit(t)
	o := success
	o.Files = []ledger.File{{Name: "f", Content: make([]byte, mostFile+1)}}
	k.run(key("a"), ledger.Start{}, o)
	_, err := newKit(t).importAll(k.export(), Refuse)
	if bad := (*Error)(nil); !errors.As(err, &bad) || !strings.HasSuffix(err.Error(), "the size of the file is not possible") {
		t.Errorf("got error %v", err)
	}
}

// TestAFileAtTheEndOfAnotherLine: a file line must follow one that announces it.
func TestAFileAtTheEndOfAnotherLine(t *testing.T) {
	k := newKit(t)
	o := success
	o.Files = []ledger.File{{Name: "f", Content: make([]byte, lineFile+1)}}
	k.run(key("a"), ledger.Start{}, o)
	lines := bytes.SplitAfter(bodies(k.export()), []byte("\n"))
	cut := append(append([][]byte{}, lines[:len(lines)-3]...), lines[len(lines)-2:]...)
	_, err := newKit(t).importAll(signAll(bytes.Join(cut, nil)), Refuse)
	if bad := (*Error)(nil); !errors.As(err, &bad) || !strings.HasSuffix(err.Error(), "a file of the attempt is missing") {
		t.Errorf("got error %v", err)
	}
}
