package sqlite

import (
	"crypto/sha256"

	"idem/ledger"
	"idem/ledger/localdir"
)

// outputFiles are the files of outputs that no attempt names, as far as the attempts were
// read. Memory is bounded by the number of files.
type outputFiles struct {
	left map[[16]byte]int64 // the size of each, by a hash of its name
}

func fileHash(name string) [16]byte {
	sum := sha256.Sum256([]byte(name))
	return [16]byte(sum[:])
}

// list lists the files in the directory of the outputs.
func (f *outputFiles) list(dir *localdir.Dir) error {
	f.left = map[[16]byte]int64{}
	return dir.Entries("output", func(e localdir.Entry) { f.left[fileHash(e.Name)] = e.Size })
}

// keep removes the file that an attempt may have from the list.
func (f *outputFiles) keep(r attemptRow) {
	if r.storage == storageFile || r.storage == storageUnknown || r.a.State == ledger.Running {
		delete(f.left, fileHash(r.a.RunID))
	}
}

// report adds a line about the files that are left.
func (f *outputFiles) report(r *ledger.Report) {
	var bytes int64
	for _, size := range f.left {
		bytes += size
	}
	if len(f.left) == 0 {
		r.Add(ledger.LevelOK, "orphans", "none: each file in output/ belongs to an attempt")
		return
	}
	r.Add(ledger.LevelNote, "orphans", "files in output/ that belong to no attempt: %d, with %d bytes; a kill can leave such files", len(f.left), bytes).SetHint("idem gc removes those that are older than an hour")
}
