package cmd

import (
	"context"
	"encoding/hex"
	"strings"

	"idem/hashkey"
	"idem/items"
	"idem/ledger"
)

// itemInput is the name of the input that has the bytes of an item whose key has only
// their hash.
const itemInput = "item"

// nameOf returns the last part of the key of a step or an item, and reports whether it is
// the hash of an item. Without a parent, the name is the key.
func nameOf(rec ledger.Record) (name string, hashed bool) {
	name = rec.ID.Key
	if rec.Parent != (ledger.ID{}) {
		name = strings.TrimPrefix(name, rec.Parent.Key+"/")
	}
	digits, hashed := strings.CutPrefix(name, "~")
	if hashed {
		sum, err := hex.DecodeString(digits)
		hashed = err == nil && len(sum) == 32
	}
	return name, hashed && rec.Parent != (ledger.ID{})
}

// keyFields returns the fields that identify the items of a batch, separated by commas; "" if
// its items are whole lines.
func keyFields(batch ledger.Record) string {
	in, _ := hashkey.Decode(batch.Current.Inputs)
	for _, p := range in {
		if p.Kind == hashkey.KindValue && p.Name == items.KeyFieldInput {
			return string(p.Value)
		}
	}
	return ""
}

// itemOf returns the bytes of the step or item that a record is about. Those of a hashed
// item are among its inputs. ok reports whether they are known: they may not be stored.
func itemOf(rec ledger.Record) (item string, ok bool) {
	name, hashed := nameOf(rec)
	if !hashed {
		return name, true
	}
	in, err := hashkey.Decode(rec.Current.Inputs)
	if err != nil {
		return name, false
	}
	for _, p := range in {
		if p.Name == itemInput && !p.Hidden {
			return string(p.Value), true
		}
	}
	return name, false
}

// readItem is itemOf for a record that was read without its inputs.
func readItem(l ledger.Ledger, rec ledger.Record) (item string, ok bool, err error) {
	if _, hashed := nameOf(rec); hashed {
		if rec, err = l.Get(context.Background(), rec.ID); err != nil {
			return "", false, err
		}
	}
	item, ok = itemOf(rec)
	return item, ok, nil
}

// shownKey returns the key of a record that was read without its inputs, for a table.
func shownKey(l ledger.Ledger, rec ledger.Record) (string, error) {
	name, hashed := nameOf(rec)
	if !hashed {
		return escape(rec.ID.Key), nil
	}
	item, ok, err := readItem(l, rec)
	if !ok || err != nil {
		return escape(rec.ID.Key), err
	}
	return escape(strings.TrimSuffix(rec.ID.Key, name) + cut(item)), nil
}

// keyShown returns the key of a record in quotes, for a message. It has the item in place
// of its hash.
func keyShown(rec ledger.Record) string {
	if name, hashed := nameOf(rec); hashed {
		if item, ok := itemOf(rec); ok {
			return quote(strings.TrimSuffix(rec.ID.Key, name) + cut(item))
		}
	}
	return quote(rec.ID.Key)
}

// cut returns an item, or the start of a long one.
func cut(item string) string {
	if len(item) <= excerptLen {
		return item
	}
	return item[:excerptLen] + "…"
}
