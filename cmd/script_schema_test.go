package cmd_test

import (
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaDir has the schemas of the output. Scripts run in other directories.
var schemaDir, _ = filepath.Abs(filepath.Join("..", "docs", "schema"))

func cmdSchema(ts *testscript.TestScript, args []string) {
	name, perLine := strings.CutPrefix(args[0], "lines/")
	schema, err := strictSchema(name)
	ts.Check(err)
	texts := []string{ts.ReadFile(args[1])}
	if perLine {
		texts = strings.Split(strings.TrimSpace(texts[0]), "\n")
	}
	for _, text := range texts {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		ts.Check(err)
		if err := schema.Validate(v); err != nil {
			ts.Fatalf("%s: %v in %s", name, err, text)
		}
	}
}

// strictSchema returns a schema that permits no further fields. A published schema does, because
// a later idem may add some. A name with an element, such as list/items, is that part of it.
func strictSchema(name string) (*jsonschema.Schema, error) {
	name, part, inside := strings.Cut(name, "/")
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	file := filepath.Join(schemaDir, name+".json")
	doc, err := (jsonschema.FileLoader{}).Load("file://" + file)
	if err != nil {
		return nil, err
	}
	closeObjects(doc)
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	if inside {
		name += "#/" + part
	}
	return c.Compile(name)
}

func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, named := v["properties"].(map[string]any); named && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, x := range v {
			closeObjects(x)
		}
	case []any:
		for _, x := range v {
			closeObjects(x)
		}
	}
}
