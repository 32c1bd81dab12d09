package runner

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"idem/ledger"
	"idem/ledger/ledgertest"
	"idem/sidefile"
)

// appending returns a call of a script that may append to the named files.
func (k *kit) appending(script string, names ...string) testCall {
	c := k.shell(script)
	for _, name := range names {
		c.Files = append(c.Files, sidefile.File{Name: name, Path: k.path(name)})
	}
	return c
}

func (k *kit) read(name string) string {
	k.Helper()
	b, err := os.ReadFile(k.path(name))
	must(k.T, err)
	return string(b)
}

// recorded returns the recorded additions of the current attempt.
func (k *kit) recorded() []ledger.File {
	k.Helper()
	files, err := k.mem.Open().Files(k.Context(), k.id, k.record().Current.RunID)
	must(k.T, err)
	return files
}

func file(name, content string) ledger.File {
	return ledger.File{Name: name, Content: []byte(content)}
}

func TestAdditionsAreRecorded(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("0123456789abcde\n", (4<<10)/16)
	lost := []ledger.File{{Name: "f", Lost: true}}
	for _, test := range []struct {
		name, before, script string // if before is "-", the file does not exist
		want                 []ledger.File
		loss                 error
	}{
		{"to what is there", "old\n", "printf new >>f", []ledger.File{file("f", "new")}, nil},
		{"to an empty file", "", "echo new >>f", []ledger.File{file("f", "new\n")}, nil},
		{"to no file", "-", "echo new >>f", []ledger.File{file("f", "new\n")}, nil},
		{"in pieces", "old", "echo a >>f; echo b >>f", []ledger.File{file("f", "a\nb\n")}, nil},
		{"any bytes", "old", `printf '\0\377' >>f`, []ledger.File{file("f", "\x00\xff")}, nil},
		{"to a long file", page + page + "end", "echo new >>f", []ledger.File{file("f", "new\n")}, nil},
		{"nothing", "old\n", "true", nil, nil},
		{"nothing to no file", "-", "true", nil, nil},
		{"an empty file", "-", ": >f", nil, nil},
		{"nothing, the file is removed", "old\n", "rm f", nil, nil},
		{"by a copy", "old\n", "cp f g; echo new >>g; mv g f", []ledger.File{file("f", "new\n")}, nil},
		{"by a link", "-", "echo new >g; ln -s g f", []ledger.File{file("f", "new\n")}, nil},
		{"and it fails", "old\n", "echo new >>f; exit 3", []ledger.File{file("f", "new\n")}, nil},
		{"and it is killed", "old\n", "echo new >>f; kill -9 $$", []ledger.File{file("f", "new\n")}, nil},
		{"cut", "old\n", ": >f", lost, sidefile.ErrRewritten},
		{"rewritten, longer", "old\n", "echo something new >f", lost, sidefile.ErrRewritten},
		{"other content, as long", "old\n", "echo new >f", lost, sidefile.ErrRewritten},
		{"too much", "old\n", "head -c 16777217 /dev/zero >>f", lost, sidefile.ErrTooMuch},
		{"a directory instead", "-", "mkdir f", lost, nil},
		{"a pipe instead", "-", "mkfifo f", lost, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newKit(t)
			if test.before != "-" {
				k.write("f", test.before)
			}
			o := k.first(k.appending(test.script, "f"))
			if o.err != nil || o.Unrecorded != nil {
				t.Fatalf("got errors %v, %v", o.err, o.Unrecorded)
			}
			if diff := cmp.Diff(test.want, k.recorded()); diff != "" {
				t.Errorf("recorded (-want +got):\n%s", diff)
			}
			if isLost := len(test.want) > 0 && test.want[0].Lost; isLost != (len(o.Losses) == 1) {
				t.Errorf("losses %v", o.Losses)
			}
			if test.loss != nil && !errors.Is(o.Losses[0].Err, test.loss) {
				t.Errorf("got loss %v, want %v", o.Losses[0].Err, test.loss)
			}
		})
	}
}

func TestLargestAdditionIsRecorded(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.appending("head -c 16777216 /dev/zero >>f", "f")
	if o := k.first(c); o.err != nil || o.Losses != nil {
		t.Fatalf("got %v, losses %v", o.err, o.Losses)
	}
	must(t, os.Remove(k.path("f")))
	k.want(k.first(c), Decision{ActionReplay, ReasonSucceeded}, "", "")
	if got := k.read("f"); len(got) != 16<<20 || strings.Trim(got, "\x00") != "" {
		t.Errorf("%d bytes were appended", len(got))
	}
}

// An addition to a file with several names is recorded once.
func TestOneFileIsRecordedOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("f", "old\n")
	must(t, os.Link(k.path("f"), k.path("hard")))
	must(t, os.Symlink("f", k.path("soft")))
	k.first(k.appending("echo new >>hard", "f", "soft", "hard"))
	if diff := cmp.Diff([]ledger.File{file("f", "new\n")}, k.recorded()); diff != "" {
		t.Error(diff)
	}
}

func TestReplayAppendsAgain(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("a", "before\n")
	c := k.appending(`echo out; printf one >>a; echo two >>b`, "a", "b")
	k.want(k.first(c), Decision{ActionExecute, ReasonNeverRun}, "out\n", "")
	k.write("a", "something else\n") // the earlier content is not part of the addition
	must(t, os.Remove(k.path("b")))
	for _, quiet := range []bool{false, true} {
		c.Output.Quiet = quiet
		o := k.first(c)
		if o.Action != ActionReplay || o.err != nil || o.Losses != nil || (o.out == "") != quiet {
			t.Errorf("got %+v", o)
		}
	}
	if a, b := k.read("a"), k.read("b"); a != "something else\noneone" || b != "two\ntwo\n" {
		t.Errorf("got %q and %q", a, b)
	}
}

// A replay appends only the additions of the replayed attempt.
func TestReplayAppendsOneAttempt(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.appending(`echo $ATTEMPT >>f; test $ATTEMPT = 3`, "f")
	c.Retries.N = 1
	k.first(c)
	if got := k.read("f"); got != "1\n2\n" {
		t.Fatalf("got %q", got)
	}
	c.Policy.OnFailure = ChoiceReplay
	k.first(c)
	c.Policy.OnFailure = ChoiceRerun
	k.first(c)
	k.first(c)
	if got, want := k.read("f"), "1\n2\n"+"2\n"+"3\n"+"3\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReplayReportsLosses(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.write("rewritten", "old\n")
	k.first(k.appending("echo out; echo new >>kept; echo new >>moved; echo new >rewritten", "kept", "moved", "rewritten"))
	o := k.first(k.appending("echo out; echo new >>kept; echo new >>moved; echo new >rewritten", "kept"))
	k.want(o, Decision{ActionReplay, ReasonSucceeded}, "out\n", "")
	if len(o.Losses) != 2 || o.Losses[0] != (sidefile.Loss{Name: "moved", Err: sidefile.ErrNoFile}) || o.Losses[1] != (sidefile.Loss{Name: "rewritten", Err: sidefile.ErrNotKept}) {
		t.Errorf("losses %v", o.Losses)
	}
	if got := k.read("kept"); got != "new\nnew\n" {
		t.Errorf("got %q", got)
	}
}

// If a replay cannot append to one file, it writes nothing at all.
func TestReplayAppendsAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(k *kit) error{
		"a directory":      func(k *kit) error { return os.Mkdir(k.path("b"), 0o700) },
		"a pipe":           func(k *kit) error { return unix.Mkfifo(k.path("b"), 0o600) },
		"a dangling place": func(k *kit) error { return os.Symlink("no/such", k.path("b")) },
	} {
		k := newKit(t)
		c := k.appending("echo out; echo new >>a; echo new >>b", "a", "b")
		k.first(c)
		must(t, os.Remove(k.path("b")))
		must(t, spoil(k))
		o := k.first(c)
		if !errors.As(o.err, new(*ReplayError)) || !errors.As(o.err, new(*sidefile.Error)) || o.out != "" || k.read("a") != "new\n" {
			t.Errorf("%s: error %v, stdout %q, a %q", name, o.err, o.out, k.read("a"))
		}
	}
}

func TestFilesThatCannotBeReadMakeNoReplay(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.appending("echo out; echo new >>f", "f")
	k.first(c)
	o := k.run(&ledgertest.Faulty{Ledger: k.mem.Open(), FailAt: 2, Err: ledger.ErrCorrupt}, c)
	if !errors.As(o.err, new(*ReplayError)) || !errors.Is(o.err, ledger.ErrCorrupt) || o.out != "" || k.read("f") != "new\n" {
		t.Errorf("error %v, stdout %q, f %q", o.err, o.out, k.read("f"))
	}
}

// If a file is bad before the command starts, nothing starts and nothing is recorded.
func TestBadFileStartsNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	c := k.job()
	c.Files = []sidefile.File{{Name: "f", Place: 1, Path: k.path("no/such/f")}}
	if o := k.first(c); !errors.As(o.err, new(*sidefile.Error)) || errors.As(o.err, new(*ReplayError)) {
		t.Errorf("got error %v", o.err)
	}
	if k.side() != 0 || k.record().Phase() != ledger.PhaseNone {
		t.Errorf("ran %d times, record is %s", k.side(), k.record().Phase())
	}
}
