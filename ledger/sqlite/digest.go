package sqlite

import (
	"crypto/sha256"
	"encoding/binary"

	"idem/internal/lenprefix"
	"idem/ledger"
)

// digest is a checksum over fields: the first 8 bytes of a SHA-256. It detects damage. It
// does not protect against a user who can write to the ledger.
type digest []byte

// digestRoom is the length that most digests do not exceed, without the inputs of an attempt.
const digestRoom = 512

func (d *digest) text(fields ...string) { *d = lenprefix.Append(*d, fields...) }

func (d *digest) numbers(fields ...int64) {
	for _, f := range fields {
		*d = binary.AppendVarint(*d, f)
	}
}

func (d *digest) sum() int64 {
	h := sha256.Sum256(*d)
	return int64(binary.BigEndian.Uint64(h[:8]))
}

func (r *recordRow) checksum() int64 {
	d := make(digest, 0, digestRoom)
	d.text(r.rec.ID.Namespace, r.rec.ID.Key, r.rec.ID.Window)
	d.numbers(r.rowid, r.rec.Generation, r.rec.Fence, int64(r.rec.Attempts), r.current)
	if r.kin != (kin{}) || r.rec.Series != 0 { // as in earlier versions otherwise
		d.numbers(r.kin.parent, r.kin.parentSeries, r.rec.Series, r.kin.floor, r.kin.done)
	}
	return d.sum()
}

func (r *attemptRow) checksum(id ledger.ID) int64 {
	d := r.appendDigest(make(digest, 0, digestRoom+len(r.a.Inputs)), id, r.a.Inputs)
	return d.sum()
}

func (r *attemptRow) appendDigest(d digest, id ledger.ID, inputs []byte) digest {
	a := &r.a
	d.text(id.Namespace, id.Key, id.Window, a.RunID, string(a.State), string(a.Reason), a.Fingerprint,
		a.Owner.Host, a.Owner.User, r.storedNote())
	d = lenprefix.Append(d, inputs)
	d.numbers(r.rowid, r.record, int64(a.Number), int64(a.ExitCode), int64(a.Signal), micros(a.Started), micros(a.Ended),
		int64(a.Owner.PID), a.OutputBytes, boolToInt(a.Truncated), int64(a.Files), int64(r.storage), r.size, int64(r.sum))
	if a.ParentRun != "" {
		d.text(a.ParentRun)
	}
	return d
}
