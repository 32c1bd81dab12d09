package cmd

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"idem/internal/testkit"
	"idem/ledger"
)

// schemas are the documents of docs/schema: what each describes, and a value of its type. The
// script schema.txtar validates output of the program against each.
var schemas = map[string]struct {
	about string
	value any
}{
	"check":          {"The output of idem check --json.", explainView{}},
	"each":           {"The object of idem each --meta-file and --meta-fd.", eachView{}},
	"events-call":    {"The first line of idem each --events: the call.", callView{}},
	"events-item":    {"A further line of idem each --events.", eventView{}},
	"explain":        {"The output of idem explain --json.", explainView{}},
	"forget":         {"The output of idem forget --json.", []forgetView{}},
	"key":            {"The output of idem key --json.", keyOutput{}},
	"gc":             {"The output of idem gc --json.", gcView{}},
	"doctor":         {"The output of idem doctor --json.", checksView{}},
	"ledger-backup":  {"The output of idem ledger backup --json.", backupView{}},
	"ledger-check":   {"The output of idem ledger check, init, confirm and upgrade with --json.", checksView{}},
	"ledger-move":    {"The output of idem ledger move --json.", moveView{}},
	"ledger-restore": {"The output of idem ledger restore --json.", restoreView{}},
	"ledger-import":  {"The output of idem ledger import --json.", importView{}},
	"ledger-path":    {"The output of idem ledger path --json.", placeView{}},
	"ledger-repair":  {"The output of idem ledger repair --json.", repairView{}},
	"ledger-sync":    {"The output of idem ledger sync --json.", syncView{}},
	"list":           {"The output of idem list --json. A line of idem list --jsonl is an element.", []listView{}},
	"list-mutexes":   {"The output of idem list --mutexes --json.", []mutexView{}},
	"logs":           {"The output of idem logs --json. A line of idem logs --jsonl is an element.", []chunkView{}},
	"mark":           {"The output of idem mark --json with a key.", markView{}},
	"meta":           {"The object of idem run --meta-file and --meta-fd, and of idem step.", metaView{}},
	"run":            {"The output of idem run --json and idem step --json.", answerView{}},
	"show":           {"The output of idem show --json.", showView{}},
	"stats":          {"The output of idem stats --json.", statsView{}},
	"token":          {"The output of idem token --json.", tokenView{}},
	"under":          {"The output of idem mark --json and idem forget --json with --under.", sweptView{}},
	"version":        {"The output of idem version --json.", versionView{}},
	"wait":           {"The output of idem wait --json.", []keyView{}},
}

// fieldTexts describe fields, by their names.
var fieldTexts = map[string]string{
	"schema":            "the version of the form; a later one may add fields",
	"window":            "the window of --per; empty without one",
	"fingerprint":       "SHA-256 of the inputs; empty in a mark that applies to any call",
	"generation":        "increased when the key is forgotten",
	"fence":             "increased by each attempt; it never decreases",
	"attempt":           "the number of the attempt in its generation; 0 for a mark",
	"state":             "of the record or the attempt",
	"end_reason":        "how the attempt ended; null while it runs",
	"exit_code":         "the exit status; 128+N after a death by signal N; null if it is not known",
	"exit_status":       "of idem run; null if it would start the command, the probe or the verification",
	"age_seconds":       "since the start",
	"truncated":         "a part of the output is not recorded, or may be missing",
	"incomplete":        "the end of the output may be missing",
	"output_bytes":      "that the command wrote, recorded or not",
	"output_removed_at": "when idem gc removed the output",
	"output_lost":       "a part of the output did not reach the caller",
	"offset_seconds":    "since the start of the attempt",
	"dropped_bytes":     "that were not recorded; the text is then empty",
	"status":            "the exit status of idem",
	"message":           "null if the exit status is that of the command",
	"token":             "the IDEM_TOKEN of the command",
	"action":            "what idem did or would do",
	"changed":           "what differs or was changed",
}

func TestSchemas(t *testing.T) {
	dir := filepath.Join("..", "docs", "schema")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); schemas[name].value == nil {
			t.Errorf("%s: no command has this output", file)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		file := filepath.Join(dir, name+".json")
		root := map[string]any{
			"$schema":     "https://json-schema.org/draft/2020-12/schema",
			"title":       "idem " + name,
			"description": schemas[name].about,
		}
		maps.Copy(root, schemaOf(reflect.TypeOf(schemas[name].value)))
		if name == "show" {
			root["$defs"] = map[string]any{"step": objectOf(reflect.TypeFor[stepView]())}
		}
		b, err := json.MarshalIndent(root, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		want := string(b) + "\n"
		if testkit.Updating() {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != want {
			t.Errorf("%s differs from the type of the output (%v); write it with -update", file, err)
		}
	}
}

// schemaOf returns the schema of the JSON that a value of a type becomes.
func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[jsonBytes]():
		base64 := map[string]any{"type": "object", "properties": map[string]any{"base64": map[string]any{"type": "string"}}, "required": []string{"base64"}}
		return map[string]any{"anyOf": []any{map[string]any{"type": "string"}, base64}, "description": "an object if the bytes are not UTF-8"}
	case reflect.TypeFor[stepView](): // a step has steps
		return map[string]any{"$ref": "#/$defs/step"}
	case reflect.TypeFor[ledger.Tally]():
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "integer"}, "description": "numbers of steps or items by state"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return map[string]any{"anyOf": []any{schemaOf(t.Elem()), map[string]any{"type": "null"}}}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		return objectOf(t)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	default:
		return map[string]any{"type": "integer"}
	}
}

func objectOf(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	addFields(t, false, properties, &required)
	slices.Sort(required)
	return map[string]any{"type": "object", "properties": properties, "required": required}
}

// addFields adds the fields of a struct. All are optional if the struct may be absent.
func addFields(t reflect.Type, optional bool, properties map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			embedded, pointer := f.Type, f.Type.Kind() == reflect.Pointer
			if pointer {
				embedded = embedded.Elem()
			}
			addFields(embedded, optional || pointer, properties, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		name = cmp.Or(name, f.Name)
		s := schemaOf(f.Type)
		switch {
		case name == "schema":
			s["const"] = metaSchema
		case t == reflect.TypeFor[attemptView]() && name == "state":
			s["enum"] = []ledger.Phase{
				ledger.PhaseNone, ledger.PhaseRetry, ledger.PhaseRunning, ledger.PhaseInterrupted, ledger.PhaseSucceeded, ledger.PhaseFailed, ledger.PhaseBatch,
			}
		case name == "items" && f.Type.Kind() == reflect.Map: // null unless it is a batch
			s = map[string]any{"anyOf": []any{s, map[string]any{"type": "null"}}}
		}
		if text := fieldTexts[name]; text != "" && s["description"] == nil {
			s["description"] = text
		}
		properties[name] = s
		if !optional && options != "omitempty" && !slices.Contains(*required, name) {
			*required = append(*required, name)
		}
	}
}
