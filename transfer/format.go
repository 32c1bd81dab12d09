// Package transfer moves the records of a ledger through a file of JSON lines.
//
// The first line describes the ledger. Then come the numbers that must not return, and the
// records, the one with the latest attempt last. Each record is followed by its attempts, and each
// attempt by its output and its files. Then come the numbers that have changed during the export.
// The last line says how many records there are.
package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"idem/hashkey"
	"idem/ledger"
)

// Schema is the version of the format. A reader refuses a newer one.
const Schema = 1

// The types of lines.
const (
	typeLedger  = "ledger"
	typeNumbers = "numbers"
	typeRecord  = "record"
	typeAttempt = "attempt"
	typeOutput  = "output"
	typeFile    = "file"
	typeEnd     = "end"
)

// Header describes an export.
type Header struct {
	Idem     string    // the version of the program
	Exported time.Time // when the export began
	Outputs  bool      // outputs are in the file
	Secret   []byte    // of the ledger; nil: not in the file
	SecretID string    // of the secret, see SecretID; "" if the ledger has none
}

type headerLine struct {
	Type     string    `json:"type"`
	Schema   int       `json:"schema"`
	Idem     string    `json:"idem"`
	Exported time.Time `json:"exported_at"`
	Outputs  bool      `json:"outputs"`
	Secret   []byte    `json:"secret"` // base64, or null
	SecretID string    `json:"secret_id"`
}

// numbersLine has the numbers of a record that must be known before those below it are stored, or
// whose history is gone. See ledger.Transferring.
type numbersLine struct {
	Type       string `json:"type"`
	Namespace  text   `json:"namespace"`
	Key        text   `json:"key"`
	Window     text   `json:"window"`
	Generation int64  `json:"generation"`
	Fence      int64  `json:"fence"`
	Series     int64  `json:"series"`
	History    bool   `json:"history"` // the record has one, or was not selected; else it was forgotten
}

type recordLine struct {
	Type       string     `json:"type"`
	Namespace  text       `json:"namespace"`
	Key        text       `json:"key"`
	Window     text       `json:"window"`
	Parent     *text      `json:"parent"` // the key above a step or an item
	State      string     `json:"state"`  // of the latest attempt, and so are the next two
	RunID      string     `json:"run_id"`
	Started    *time.Time `json:"started_at"`
	Generation int64      `json:"generation"`
	Fence      int64      `json:"fence"`
	Series     int64      `json:"series"`
	Attempts   int        `json:"attempts"` // attempt lines that follow
}

type attemptLine struct {
	Type            string     `json:"type"`
	Number          int        `json:"number"` // 0: a mark
	RunID           string     `json:"run_id"`
	State           string     `json:"state"`
	Reason          string     `json:"reason"`
	ExitCode        int        `json:"exit_code"`
	Signal          int        `json:"signal"`
	Started         *time.Time `json:"started_at"`
	Ended           *time.Time `json:"ended_at"`
	Fingerprint     text       `json:"fingerprint"`
	Inputs          inputs     `json:"inputs"`
	Host            text       `json:"host"`
	PID             int        `json:"pid"`
	User            text       `json:"user"`
	Note            text       `json:"note"`
	ParentRun       string     `json:"parent_run"`
	OutputBytes     int64      `json:"output_bytes"`
	Truncated       bool       `json:"output_truncated"`
	Incomplete      bool       `json:"output_incomplete"`
	Redacted        bool       `json:"output_redacted"`
	NoOutput        bool       `json:"output_unwanted"`
	OutputRemovedAt *time.Time `json:"output_removed_at"`
	Files           int        `json:"files"` // file lines that follow the output
}

// outputLine has pieces of the output of the attempt before it.
type outputLine struct {
	Type   string  `json:"type"`
	Pieces []piece `json:"pieces"`
}

// piece is bytes that a command wrote, or a gap.
type piece struct {
	Stream  int    `json:"stream"`            // 1 stdout, 2 stderr; of a gap also 0: unknown
	At      int64  `json:"at"`                // microseconds since the start
	Data    []byte `json:"data,omitempty"`    // base64
	Dropped int64  `json:"dropped,omitempty"` // of a gap: bytes
}

// fileLine has a file of the attempt before it, or a part of it.
type fileLine struct {
	Type  string `json:"type"`
	Name  text   `json:"name"`
	Place int    `json:"place"`
	Lost  bool   `json:"lost"`
	Data  []byte `json:"data"` // base64
	More  bool   `json:"more"` // the next line continues the file
}

type endLine struct {
	Type    string `json:"type"`
	Records int    `json:"records"`
}

// text is a string that need not be UTF-8. Other bytes are an object with a base64 text.
type text string

type base64Text struct {
	Base64 []byte `json:"base64"`
}

func (t text) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(string(t)) {
		return marshal(base64Text{[]byte(t)})
	}
	return marshal(string(t))
}

func (t *text) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("{")) {
		var v base64Text
		err := json.Unmarshal(b, &v)
		*t = text(v.Base64)
		return err
	}
	var s string
	err := json.Unmarshal(b, &s)
	*t = text(s)
	return err
}

// inputs are the stored inputs of an attempt, by name if they can be decoded.
type inputs []byte

type inputPart struct {
	Kind   string `json:"kind"`
	Name   text   `json:"name"`
	Value  text   `json:"value"`
	Hidden bool   `json:"hidden,omitempty"`
}

func (in inputs) MarshalJSON() ([]byte, error) {
	parts, err := hashkey.Decode(in)
	if err != nil || len(parts) == 0 || !bytes.Equal(parts.Encode(), in) {
		return marshal(base64Text{append([]byte{}, in...)}) // nil and empty are equal
	}
	list := make([]inputPart, len(parts))
	for i, p := range parts {
		list[i] = inputPart{string(p.Kind), text(p.Name), text(p.Value), p.Hidden}
	}
	return marshal(list)
}

func (in *inputs) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("{")) {
		var v base64Text
		err := json.Unmarshal(b, &v)
		*in = v.Base64
		return err
	}
	var list []inputPart
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	parts := make(hashkey.Inputs, len(list))
	for i, p := range list {
		parts[i] = hashkey.Part{Kind: hashkey.Kind(p.Kind), Name: string(p.Name), Value: []byte(p.Value), Hidden: p.Hidden}
	}
	*in = parts.Encode()
	return nil
}

// keyed reports whether inputs have a value that is hashed with the secret of the ledger.
func keyed(encoded []byte) bool {
	parts, err := hashkey.Decode(encoded)
	if err != nil {
		return false
	}
	for _, p := range parts {
		if p.Kind == hashkey.KindEnv && !p.Hidden {
			return true
		}
	}
	return false
}

func idOf(namespace, key, window text) (ledger.ID, error) {
	id := ledger.ID{Namespace: string(namespace), Key: string(key), Window: string(window)}
	err := errors.Join(hashkey.CheckNamespace(id.Namespace), hashkey.CheckPath(id.Key))
	if err == nil && id.Window != "" {
		err = hashkey.CheckWindow(id.Window)
	}
	return id, err
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
