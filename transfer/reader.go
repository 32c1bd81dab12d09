package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"idem/ledger"
)

const (
	// mostNumber bounds generations, fences and series. JSON readers keep numbers up to 1<<53 exactly,
	// so a ledger that counts on from it can still be exported.
	mostNumber = 1 << 52
	// mostPiece is the maximum number of bytes of a piece of output.
	mostPiece = 1 << 20
	// mostFile bounds a file in bytes. idem records at most 16 MiB.
	mostFile = 64 << 20
	// mostTime bounds the time of a piece: ledgers count nanoseconds.
	mostTime = int64(1<<62) / int64(time.Microsecond)
)

// reader reads an export. It accepts only what a writer can write.
type reader struct {
	lines   lineReader
	header  Header
	body    []byte // of the line that next reads; nil: none was read ahead
	records int
	left    int             // attempt lines of the record that are still to come
	runs    map[string]bool // of the record
	number  int             // the latest one of the record that was read
	latest  *recordLine     // the record
	attempt *attemptLine    // the latest attempt of the record that was read
	files   int             // file lines of the attempt that are still to come
	queue   []piece         // pieces of a line that were not returned yet
}

func newReader(from io.Reader) (*reader, error) {
	r := &reader{lines: lineReader{from: bufio.NewReaderSize(from, 64<<10)}}
	body, err := r.lines.read()
	var version struct {
		Type   string `json:"type"`
		Schema int    `json:"schema"`
	}
	unread := json.Unmarshal(r.lines.line, &version) // a newer line may have another sum
	foreign := func(text string) error { return &Error{Line: 1, Foreign: true, Text: text} }
	switch {
	case errors.Is(err, io.EOF):
		return nil, foreign("the file is empty")
	case unread == nil && version.Type == typeLedger && version.Schema > Schema:
		return nil, foreign("a newer idem wrote this export")
	case err != nil && !errors.As(err, new(*Error)):
		return nil, err
	case !bytes.HasPrefix(r.lines.line, []byte(`{"type":"ledger",`)):
		return nil, foreign("this is not an export of idem")
	case err != nil:
		return nil, err
	}
	var h headerLine
	if err := r.lines.decode(body, &h); err != nil {
		return nil, err
	}
	if h.Schema != Schema || h.Secret != nil && (len(h.Secret) != 32 || SecretID(h.Secret) != h.SecretID) {
		return nil, r.lines.wrong("it is not a line of an export")
	}
	r.header = Header{Idem: h.Idem, Exported: h.Exported, Outputs: h.Outputs, Secret: h.Secret, SecretID: h.SecretID}
	return r, nil
}

// peek returns the type of the next line.
func (r *reader) peek() (string, error) {
	if r.body == nil {
		body, err := r.lines.read()
		if errors.Is(err, io.EOF) {
			err = r.lines.wrong("the export is cut off here: it has no end line")
		}
		if err != nil {
			return "", err
		}
		r.body = body
	}
	// Each line begins with its type. decode checks that it does.
	rest, ok := bytes.CutPrefix(r.body, []byte(`{"type":"`))
	name, _, closed := bytes.Cut(rest, []byte(`"`))
	if !ok || !closed {
		return "", r.lines.wrong("it is not a line of an export")
	}
	return string(name), nil
}

// take decodes the line that peek has looked at.
func (r *reader) take(v any) error {
	body := r.body
	r.body = nil
	return r.lines.decode(body, v)
}

// item is what a line outside of a record describes. Numbers or record is set; none at the end.
type item struct {
	numbers *ledger.Record
	history bool           // see numbersLine
	record  *ledger.Record // its Current has only the run ID, the state and the start
}

// next returns the next numbers or record. Before, the pieces of the last record must be read.
func (r *reader) next() (item, error) {
	name, err := r.peek()
	if err != nil {
		return item{}, err
	}
	switch name {
	case typeNumbers:
		var l numbersLine
		if err := r.take(&l); err != nil {
			return item{}, err
		}
		rec := &ledger.Record{Generation: l.Generation, Fence: l.Fence, Series: l.Series}
		rec.ID, err = idOf(l.Namespace, l.Key, l.Window)
		return item{numbers: rec, history: l.History}, r.checkNumbers(rec, err)
	case typeRecord:
		var l recordLine
		if err := r.take(&l); err != nil {
			return item{}, err
		}
		return r.begin(&l)
	case typeEnd:
		var l endLine
		if err := r.take(&l); err != nil {
			return item{}, err
		}
		if l.Records != r.records {
			return item{}, r.lines.wrong("the export has %d records, and not %d", r.records, l.Records)
		}
		if _, err := r.lines.read(); !errors.Is(err, io.EOF) {
			return item{}, r.lines.wrong("something follows the end of the export")
		}
		return item{}, nil
	}
	return item{}, r.lines.wrong("a line of the type %q is not expected here", name)
}

func (r *reader) checkNumbers(rec *ledger.Record, err error) error {
	switch {
	case err != nil:
		return r.lines.wrong("the key %q: %v", rec.ID.Key, err)
	case rec.Generation < 1 || rec.Fence < 0 || rec.Series < 0 || max(rec.Generation, rec.Fence, rec.Series) > mostNumber:
		return r.lines.wrong("the key %q has impossible numbers", rec.ID.Key)
	}
	return nil
}

// begin begins a record.
func (r *reader) begin(l *recordLine) (item, error) {
	rec := &ledger.Record{Generation: l.Generation, Fence: l.Fence, Series: l.Series}
	rec.Current = ledger.Attempt{RunID: l.RunID, State: ledger.State(l.State), Started: orZero(l.Started)}
	var err error
	rec.ID, err = idOf(l.Namespace, l.Key, l.Window)
	if l.Parent != nil {
		rec.Parent = ledger.ID{Namespace: rec.ID.Namespace, Key: string(*l.Parent), Window: rec.ID.Window}
		err = errors.Join(err, ledger.Origin{Parent: rec.Parent}.Check(rec.ID))
	}
	if err := r.checkNumbers(rec, err); err != nil {
		return item{}, err
	}
	if l.Attempts < 1 {
		return item{}, r.lines.wrong("the record has no attempts")
	}
	r.records++
	r.left, r.runs, r.number, r.latest, r.attempt, r.files = l.Attempts, map[string]bool{}, 0, l, nil, 0
	return item{record: rec}, nil
}

// piece returns the next piece of the record, and io.EOF at its end.
func (r *reader) piece() (ledger.Piece, error) {
	if len(r.queue) > 0 {
		p := r.queue[0]
		r.queue = r.queue[1:]
		return ledger.Piece{Chunk: &ledger.Chunk{Stream: ledger.Stream(p.Stream), At: time.Duration(p.At) * time.Microsecond, Bytes: p.Data, Dropped: p.Dropped}}, nil
	}
	name, err := r.peek()
	if err != nil {
		return ledger.Piece{}, err
	}
	switch {
	case name == typeOutput && r.attempt != nil && r.files == r.attempt.Files && !r.attempt.NoOutput && r.attempt.OutputRemovedAt == nil:
		var l outputLine
		if err := r.take(&l); err != nil {
			return ledger.Piece{}, err
		}
		if !slices.ContainsFunc(l.Pieces, wrongPiece) && len(l.Pieces) > 0 {
			r.queue = l.Pieces
			return r.piece()
		}
		return ledger.Piece{}, r.lines.wrong("a piece of output is not possible")
	case name == typeFile && r.files > 0:
		return r.fileOf()
	case r.files > 0:
		return ledger.Piece{}, r.lines.wrong("a file of the attempt is missing")
	case name == typeAttempt && r.left > 0:
		return r.attemptOf()
	case r.left > 0:
		return ledger.Piece{}, r.lines.wrong("an attempt of the record is missing")
	}
	return ledger.Piece{}, io.EOF
}

func wrongPiece(p piece) bool {
	if p.At < 0 || p.At > mostTime || p.Stream < 0 || p.Stream > int(ledger.Stderr) {
		return true
	}
	if p.Dropped != 0 {
		return p.Dropped < 0 || len(p.Data) > 0
	}
	return p.Stream == 0 || len(p.Data) == 0 || len(p.Data) > mostPiece
}

// fileOf returns the next file. A large one is in several lines.
func (r *reader) fileOf() (ledger.Piece, error) {
	var f *ledger.File
	for {
		if name, err := r.peek(); err != nil {
			return ledger.Piece{}, err
		} else if name != typeFile {
			return ledger.Piece{}, r.lines.wrong("a file of the attempt is missing")
		}
		var l fileLine
		if err := r.take(&l); err != nil {
			return ledger.Piece{}, err
		}
		if f == nil {
			f = &ledger.File{Name: string(l.Name), Place: l.Place, Lost: l.Lost}
		} else if f.Name != string(l.Name) || f.Place != l.Place || f.Lost != l.Lost {
			return ledger.Piece{}, r.lines.wrong("it does not continue the file before")
		}
		f.Content = append(f.Content, l.Data...)
		switch {
		case len(l.Data) > lineFile, l.More && len(l.Data) < lineFile, len(f.Content) > mostFile:
			return ledger.Piece{}, r.lines.wrong("the size of the file is not possible")
		case !l.More:
			r.files--
			return ledger.Piece{File: f}, nil
		}
	}
}

// reasonsOf returns the reasons that an attempt in a state can have, none for an unknown state. It is
// a function, because each start of idem would pay for a map.
func reasonsOf(s ledger.State) []ledger.Reason {
	switch s {
	case ledger.Running:
		return []ledger.Reason{""}
	case ledger.Succeeded:
		return []ledger.Reason{
			ledger.ReasonExit, ledger.ReasonSignal, ledger.ReasonTimeout, ledger.ReasonTransaction, ledger.ReasonMarked, ledger.ReasonProbed,
		}
	case ledger.Failed:
		return []ledger.Reason{ledger.ReasonExit, ledger.ReasonSignal, ledger.ReasonTimeout, ledger.ReasonLost, ledger.ReasonMarked, ledger.ReasonProbed}
	case ledger.None:
		return []ledger.Reason{ledger.ReasonMarked, ledger.ReasonProbed, ledger.ReasonUnverified}
	case ledger.Batch:
		return []ledger.Reason{ledger.ReasonMarked}
	}
	return nil
}

func (r *reader) attemptOf() (ledger.Piece, error) {
	var l attemptLine
	if err := r.take(&l); err != nil {
		return ledger.Piece{}, err
	}
	r.left--
	a := &ledger.Attempt{
		Number: l.Number, RunID: l.RunID, State: ledger.State(l.State), Reason: ledger.Reason(l.Reason), ExitCode: l.ExitCode, Signal: l.Signal,
		Started: orZero(l.Started), Ended: orZero(l.Ended), Fingerprint: string(l.Fingerprint), Inputs: l.Inputs,
		Owner: ledger.Owner{Host: string(l.Host), PID: l.PID, User: string(l.User)}, Note: string(l.Note), ParentRun: l.ParentRun,
		OutputBytes: l.OutputBytes, Truncated: l.Truncated, Incomplete: l.Incomplete, Redacted: l.Redacted, NoOutput: l.NoOutput,
		OutputRemoved: orZero(l.OutputRemovedAt), Files: l.Files,
	}
	const most = math.MaxInt32
	switch {
	case !isUUID(a.RunID) || r.runs[a.RunID]:
		return ledger.Piece{}, r.lines.wrong("the run ID %q is not possible", a.RunID)
	case a.ParentRun != "" && !isUUID(a.ParentRun):
		return ledger.Piece{}, r.lines.wrong("the run ID %q is not possible", a.ParentRun)
	case !slices.Contains(reasonsOf(a.State), a.Reason):
		return ledger.Piece{}, r.lines.wrong("the state %q with the reason %q is not possible", a.State, a.Reason)
	case a.State == ledger.Running && r.left > 0, a.State == ledger.Running && a.Number == 0:
		return ledger.Piece{}, r.lines.wrong("only the latest attempt can be running")
	case a.Number < 0 || a.Number > most || a.Number != 0 && a.Number <= r.number:
		return ledger.Piece{}, r.lines.wrong("the number of the attempt is not possible")
	case a.Started.IsZero(), a.OutputBytes < 0, a.ExitCode < 0, a.ExitCode > 255, a.Signal < 0, a.Signal > 255, a.Owner.PID < 0, a.Owner.PID > most, a.Files < 0, a.Files > most:
		return ledger.Piece{}, r.lines.wrong("a number or a time of the attempt is not possible")
	case r.left == 0 && (l.State != r.latest.State || l.RunID != r.latest.RunID || !a.Started.Equal(orZero(r.latest.Started))):
		return ledger.Piece{}, r.lines.wrong("it is not the latest attempt of the record")
	}
	r.runs[a.RunID] = true
	r.attempt, r.files = &l, l.Files
	r.number = max(r.number, a.Number)
	return ledger.Piece{Attempt: a}, nil
}

func isUUID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}
