package cmd

import (
	"errors"
	"io"
	"os"
	"strings"

	"idem/batch"
	"idem/items"
	"idem/ledger"
)

// list is the input of idem each.
type list struct {
	file     *os.File
	size     int64 // of a regular file; else 0
	reader   *items.Reader
	template *items.Template
	ahead    *items.Item // read by peek
	err      error       // of peek
	peeked   bool
}

// open opens the list and reads the template of its command.
func (l *list) open(o *eachOptions, key string, argv []string) error {
	l.file = os.Stdin
	if o.argFile == "" {
		if err := requireStdin(); err != nil {
			return err
		}
	} else {
		f, err := os.Open(o.argFile)
		if err != nil {
			return usage("--arg-file: %v", err)
		}
		l.file = f
	}
	if info, err := l.file.Stat(); err == nil && info.Mode().IsRegular() {
		l.size = info.Size()
	}
	opts := items.Options{Format: o.format(), Batch: key, KeyFields: o.keyFields, StrictNewline: o.strictNewline}
	l.reader = items.New(l.file, opts)
	header, err := l.reader.Header()
	if err != nil && !errors.Is(err, io.EOF) {
		return listFailure(o, err)
	}
	empty := err != nil
	l.template, err = items.ParseTemplate(argv, items.TemplateOptions{Options: opts, Header: header, Pair: o.pair, OnStdin: o.onStdin})
	var lacks *items.PlaceholderError
	if empty && errors.As(err, &lacks) { // the fields are not known, and there is no item
		l.template, err = items.ParseTemplate(argv, items.TemplateOptions{Options: opts, Pair: o.pair, OnStdin: true})
	}
	if err != nil {
		return templateUsage(err, argv)
	}
	l.reader.Use(l.template)
	return nil
}

// templateUsage returns the failure of usage for an error of a template.
func templateUsage(err error, argv []string) error {
	var script *items.ScriptError
	var lacks *items.PlaceholderError
	switch {
	case errors.As(err, &script):
		f := usage("%v", script)
		if script.Safe != nil {
			return f.hint("give the item to the script as an argument: %s", commandLine(script.Safe))
		}
		return f.hint(`give the item to the script as an argument, and use it there in quotes: sh -c '... "$1"' _ {}`)
	case errors.As(err, &lacks) && len(lacks.Header) > 0:
		return usage("%v", lacks).detail("the fields are %s", fieldList(lacks.Header)).hint("a placeholder is the name of a field in braces: {%s}", lacks.Header[0])
	case errors.As(err, &lacks):
		return usage("%v", lacks).hint("a placeholder is the name of a field in braces, such as {id}, or {} for the whole line")
	default:
		return usage("%v", err)
	}
}

// warnTemplate warns of words of a template that may be a mistake.
func (a *app) warnTemplate(b *bulk) {
	for _, risk := range b.list.template.Risks {
		a.ui.warn("%v", risk)
	}
	if !b.flags.format().Fields() {
		return
	}
	for _, name := range b.list.template.Unknown {
		a.ui.warn("{%s} in the command is no field, and stays as it is", escape(name))
	}
}

// fieldList lists the names of fields for a message.
func fieldList(names []string) string {
	const most = 12
	var list []string
	for i, name := range names {
		if i == most {
			list = append(list, "…")
			break
		}
		list = append(list, quote(name))
	}
	return strings.Join(list, ", ")
}

// listFailure returns the failure for a list that cannot be read.
func listFailure(o *eachOptions, err error) error {
	var bad *items.BadLine
	var field *items.FieldError
	switch {
	case errors.As(err, &field):
		return usage("--key-field: %v", field).detail("the fields are %s", fieldList(field.Header))
	case errors.As(err, &bad):
		return fail(exitMismatch, "%s", badLineText(o, bad))
	default:
		return fail(exitMismatch, "the list cannot be read: %v", err)
	}
}

// badLineText describes a line that cannot be an item.
func badLineText(o *eachOptions, bad *items.BadLine) string {
	name := "the list"
	if o.argFile != "" {
		name = quote(o.argFile)
	}
	return name + ": " + bad.Error()
}

// peek reads the first item.
func (l *list) peek() (items.Item, error) {
	it, err := l.reader.Next()
	l.err, l.peeked = err, err != nil
	return it, err
}

// putBack makes next return an item again.
func (l *list) putBack(it items.Item) { l.ahead = &it }

func (l *list) next() (items.Item, error) {
	switch {
	case l.ahead != nil:
		it := *l.ahead
		l.ahead = nil
		return it, nil
	case l.peeked:
		l.peeked = false
		return items.Item{}, l.err
	}
	return l.reader.Next()
}

// next returns the next item of the list with its record.
func (b *bulk) next() (batch.Entry, error) {
	it, err := b.list.next()
	if err != nil {
		return batch.Entry{}, err
	}
	e := batch.Entry{Item: it, ID: b.itemID(&it), Fingerprint: b.list.template.Fingerprint(&it)}
	if b.keep.redactor.Finds([]byte(it.Name)) {
		return e, &items.BadLine{Line: it.Line, Why: "has a value that is redacted, and it would be stored as a key"}
	}
	return e, nil
}

func (b *bulk) itemID(it *items.Item) ledger.ID {
	id := b.batch
	id.Key += "/" + it.Name
	return id
}
