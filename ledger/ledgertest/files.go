package ledgertest

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"idem/ledger"
)

var fileCases = []testCase{
	{"FilesRoundTrip", filesRoundTrip, nil},
	{"FilesLarge", filesLarge, nil},
	{"FilesOfEachAttempt", filesOfEachAttempt, nil},
	{"FilesMissing", filesMissing, nil},
	{"FilesOfWhatDidNotFinish", filesOfWhatDidNotFinish, nil},
	{"FilesOfLateFinishAreNotRecorded", filesOfLateFinishAreNotRecorded, nil},
	{"FilesAreForgotten", filesAreForgotten, nil},
}

// someFiles have various names and contents. Any bytes are allowed in both.
var someFiles = []ledger.File{
	{Name: "GITHUB_OUTPUT", Content: []byte("name=value\n")},
	{Name: "./odd\xff\n'; drop table files", Place: 1, Content: []byte("\x00\xff no newline")},
	{Name: "", Place: 1 << 20, Lost: true},
	{Name: "GITHUB_OUTPUT", Content: []byte("the same name again")},
}

// files checks that both handles return the wanted files of an attempt.
func (k *kit) files(id ledger.ID, a ledger.Attempt, want []ledger.File) {
	k.Helper()
	for _, l := range []ledger.Ledger{k.a, k.b} {
		got, err := l.Files(k.ctx, id, a.RunID)
		k.ok(err, "Files")
		k.same(all(got, fileText), all(want, fileText), "files")
	}
	k.same(a.Files, len(want), "number of files that the attempt tells")
}

// fileText returns a file as text for comparisons, because cmp is slow with byte slices. A large content is
// given by its sum.
func fileText(f ledger.File) string {
	if len(f.Content) > 64<<10 {
		return fmt.Sprintf("%q, place %d, lost %t: %d bytes, sum %x", f.Name, f.Place, f.Lost, len(f.Content), sha256.Sum256(f.Content))
	}
	return fmt.Sprintf("%q, place %d, lost %t: %q", f.Name, f.Place, f.Lost, f.Content)
}

func with(o ledger.Outcome, files ...ledger.File) ledger.Outcome {
	o.Files = files
	return o
}

func filesRoundTrip(k *kit) {
	for n := range len(someFiles) + 1 {
		id := key(fmt.Sprint(n))
		done := k.run(k.a, id, with(success, someFiles[:n]...))
		k.files(id, done, someFiles[:n])
		k.files(id, k.get(k.b, id).Current, someFiles[:n])
		// A caller may change the result without changing the ledger.
		if files, err := k.a.Files(k.ctx, id, done.RunID); err == nil && n > 0 {
			files[0].Name = "changed"
			files[0].Content[0]++
		}
		k.files(id, done, someFiles[:n])
	}
}

func filesLarge(k *kit) {
	id := key("k")
	large := bytes.Repeat([]byte("a line of it\x00\n"), 1<<20)
	files := []ledger.File{{Name: "large", Content: large}, {Name: "small", Content: []byte("x")}}
	k.files(id, k.run(k.a, id, with(success, files...)), files)
}

func filesOfEachAttempt(k *kit) {
	id := key("k")
	first := k.run(k.a, id, with(failure, someFiles[0]))
	second := k.run(k.b, id, with(killed, someFiles[1], someFiles[2]))
	none := k.run(k.a, id, success)
	k.files(id, first, someFiles[:1])
	k.files(id, second, someFiles[1:3])
	k.files(id, none, nil)
	k.mark(k.a, id, ledger.None)
	k.files(id, k.get(k.a, id).Current, nil)
	k.files(id, first, someFiles[:1])
}

func filesMissing(k *kit) {
	id := key("k")
	done := k.run(k.a, id, with(success, someFiles...))
	for _, other := range []ledger.ID{key("never"), {Namespace: "default", Key: "k", Window: "w"}} {
		_, err := k.b.Files(k.ctx, other, done.RunID)
		k.is(err, ledger.ErrNotFound, fmt.Sprintf("Files of another key's run under %+v", other))
	}
	_, err := k.b.Files(k.ctx, id, newRunID())
	k.is(err, ledger.ErrNotFound, "Files of no run")
}

func filesOfWhatDidNotFinish(k *kit) {
	id := key("k")
	c := k.claim(k.a, id)
	x := k.begin(c)
	k.files(id, x.Attempt(), nil)
	k.release(c)
	k.files(id, k.get(k.b, id).Current, nil)
}

// filesOfLateFinishAreNotRecorded: files are recorded only together with the outcome.
func filesOfLateFinishAreNotRecorded(k *kit) {
	id := key("k")
	old := k.interrupt(k.a, id)
	done := k.run(k.b, id, with(success, someFiles[0]))
	_, err := old.Finish(k.ctx, with(success, someFiles...))
	k.is(err, ledger.ErrLost, "Finish after a takeover")
	k.files(id, old.Attempt(), nil)
	k.files(id, done, someFiles[:1])
}

func filesAreForgotten(k *kit) {
	id, neighbour := key("k"), key("neighbour")
	first := k.run(k.a, id, with(failure, someFiles...))
	second := k.run(k.a, id, with(success, someFiles...))
	kept := k.run(k.a, neighbour, with(success, someFiles...))
	k.get(k.a, id) // a ledger may cache the record
	k.ok(k.b.Forget(k.ctx, id), "Forget")
	for _, a := range []ledger.Attempt{first, second} {
		for _, l := range []ledger.Ledger{k.a, k.b} {
			_, err := l.Files(k.ctx, id, a.RunID)
			k.is(err, ledger.ErrNotFound, "Files of a forgotten attempt")
		}
	}
	k.files(neighbour, kept, someFiles)
}
