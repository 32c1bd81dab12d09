package cmd

import (
	"io"
	"iter"
	"strings"

	"idem/ledger"
)

// listView is a record in the JSON of idem list.
type listView struct {
	keyView
	Parent *string      `json:"parent"` // the key above a step or an item
	Item   *jsonBytes   `json:"item"`   // the step or item; null if only its hash is known
	Below  ledger.Tally `json:"below"`
}

// viewListed returns the view of a record.
func viewListed(l ledger.Ledger, r listed) (listView, error) {
	v := listView{keyView: viewKey(r.Record), Below: r.below}
	if v.Below == nil {
		v.Below = ledger.Tally{}
	}
	if r.Parent == (ledger.ID{}) {
		return v, nil
	}
	v.Parent = &r.Parent.Key
	item, ok, err := readItem(l, r.Record)
	if ok {
		v.Item = ptr(jsonBytes(item))
	}
	return v, err
}

// views yields the views of records, until an error.
func views(l ledger.Ledger, records iter.Seq2[listed, error]) iter.Seq2[listView, error] {
	return func(yield func(listView, error) bool) {
		for r, err := range records {
			var v listView
			if err == nil {
				v, err = viewListed(l, r)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// printViews prints a JSON array, or its elements on lines.
func printViews[T any](a *app, views []T, lines bool) error {
	if !lines {
		return a.printJSON(views)
	}
	var b strings.Builder
	for _, v := range views {
		line, err := marshalLine(v)
		if err != nil {
			return err
		}
		b.Write(line)
	}
	return a.print(b.String())
}

// writeLines writes a JSON object on each line.
func writeLines[T any](w io.Writer, views iter.Seq2[T, error]) error {
	for v, err := range views {
		if err != nil {
			return err
		}
		text, err := marshalLine(v)
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// writeArray writes a JSON array, element by element. After an error, it has no end.
func writeArray[T any](w io.Writer, views iter.Seq2[T, error]) error {
	const indent = "  "
	between, end := "[\n", "[]\n"
	for v, err := range views {
		if err != nil {
			return err
		}
		text, err := marshalBelow(indent, v)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(w, between+indent+strings.TrimSuffix(string(text), "\n")); err != nil {
			return err
		}
		between, end = ",\n", "\n]\n"
	}
	_, err := io.WriteString(w, end)
	return err
}
