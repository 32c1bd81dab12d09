package items

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzObject compares the fields of objects with those that encoding/json finds.
func FuzzObject(f *testing.F) {
	for _, in := range []string{`{"id":"a","x":1}`, ` { "a\"b" : [ {"id" : "}" } , 1 ] , "id":-1.5e3 } `, `{"id":"\u00e9\\\"\ud83d\ude00"}`, `{}`, `{"id":true,"i\u0064":1}`} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var want map[string]json.RawMessage
		valid := json.Unmarshal([]byte(in), &want) == nil && want != nil
		r := &Reader{}
		_, _, err := r.object([]byte(in))
		if err == nil && !valid && strings.TrimSpace(in) != "" {
			t.Fatalf("%q is accepted", in)
		}
		if err != nil {
			return // also two fields of one name, surrogates, invalid UTF-8
		}
		if len(r.members) != len(want) {
			t.Fatalf("%q has %d fields, got %d", in, len(want), len(r.members))
		}
		for _, m := range r.members {
			if string(want[m.name]) != string(m.value) {
				t.Fatalf("%q: field %q is %s, got %s", in, m.name, want[m.name], m.value)
			}
			got, err := scalars(r.members, []string{m.name})
			var s string
			if json.Unmarshal(m.value, &s) == nil && m.value[0] == '"' && err == nil && got[0] != s {
				t.Fatalf("%q: field %q is %q, got %q", in, m.name, s, got)
			}
		}
	})
}

// The time for a line must not grow with the square of its fields.
func TestObjectWithManyFields(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"id":1`)
	for i := range 300_000 {
		b.WriteString(`,"f`)
		b.WriteString(strings.Repeat("x", i%7))
		b.WriteString(string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676%26)) + string(rune('a'+i/17576)))
		b.WriteString(`":0`)
	}
	b.WriteString("}")
	it, err := New(strings.NewReader(b.String()), Options{Format: JSONL, KeyFields: []string{"id"}}).Next()
	if err != nil || it.Key != "1" {
		t.Errorf("got %q and error %v", it.Key, err)
	}
}
