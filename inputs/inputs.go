// Package inputs collects the inputs of a call: its arguments, environment
// variables, files, stdin, working directory and given values. They become
// hashkey.Inputs, of which the fingerprint and a derived key are made. Another set
// of files, the programs that an attempt runs, is recorded but does not count.
//
// The package reads files. Stdin, the environment and the working directory come
// from the caller, in a Process. Its errors say what is wrong with a flag. The caller
// adds the texts and the hints for the user.
package inputs

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"strings"

	"idem/hashkey"
)

// Spec says which inputs of a call count. Each field is a flag.
type Spec struct {
	NoArgs   bool     // --hash none: the command line does not count
	Ignore   []string // --hash-ignore: expressions; an argument that matches does not count
	Env      []string // --hash-env: names of variables, or patterns of names
	Files    []string // --hash-file: paths, or patterns of paths
	Optional []string // --hash-file-optional: like Files, but they may be absent
	Stdin    bool     // --hash-stdin
	MaxStdin int64    // --max-stdin: bytes; negative: any number
	Cwd      bool     // --hash-cwd
	Values   []string // --hash-value: NAME=VALUE
}

// Opens reports whether Collect opens files.
func (s *Spec) Opens() bool {
	return len(s.Files)+len(s.Optional)+len(s.Env) > 0 || s.Stdin
}

// Process has the properties of the process that makes a call.
type Process struct {
	Environ func() []string // like os.Environ: NAME=VALUE, each name once
	Dir     func() (string, error)
	Stdin   *os.File
}

// Source is the part of a ledger that Collect needs.
type Source interface {
	// Secret returns the key for the digests of environment variables.
	Secret(ctx context.Context) ([]byte, error)
	// Scratch returns a file that keeps stdin for the command, nil if no command
	// will read it.
	Scratch() (*os.File, error)
}

// Collect returns the inputs of a call of argv, in canonical order, and the file
// that is the stdin of the command. It checks all flags before it calls src.Secret,
// which may create the secret. An *Error is about a flag. Any other error comes from
// src or from the file that src made.
func (s *Spec) Collect(ctx context.Context, argv []string, p Process, src Source) (hashkey.Inputs, *os.File, error) {
	in, err := s.args(argv)
	if err != nil {
		return nil, nil, err
	}
	if s.Cwd {
		dir, err := p.Dir()
		if err != nil {
			return nil, nil, &Error{Flag: "--hash-cwd", Err: err}
		}
		in = append(in, hashkey.Part{Kind: hashkey.KindCwd, Value: []byte(dir)})
	}
	for _, nv := range s.Values {
		name, value, ok := strings.Cut(nv, "=")
		if !ok || name == "" {
			return nil, nil, &Error{Flag: "--hash-value", Problem: NotAssignment}
		}
		in = append(in, hashkey.Part{Kind: hashkey.KindValue, Name: name, Value: []byte(value)})
	}
	var env Environ
	if len(s.Env) > 0 {
		env = p.Environ()
	}
	for _, text := range s.Env {
		if err := env.Check("--hash-env", text, true); err != nil {
			return nil, nil, err
		}
	}
	trees := maxTrees
	files, err := filesParts("--hash-file", s.Files, &trees)
	if err != nil {
		return nil, nil, err
	}
	optional, err := filesParts("--hash-file-optional", s.Optional, &trees)
	if err != nil {
		return nil, nil, err
	}
	if len(s.Env) > 0 {
		secret, err := src.Secret(ctx)
		if err != nil {
			return nil, nil, err
		}
		in = append(in, env.parts(s.Env, secret)...)
	}
	in = append(append(in, files...), optional...)
	if !s.Stdin {
		return in.Canonical(), p.Stdin, nil
	}
	part, stdin, err := stdinPart(p.Stdin, src.Scratch, s.MaxStdin)
	return append(in, part).Canonical(), stdin, err
}

// args returns the arguments that count. The command itself is never ignored.
func (s *Spec) args(argv []string) (hashkey.Inputs, error) {
	if s.NoArgs {
		return hashkey.Inputs{}, nil
	}
	var ignore []*regexp.Regexp
	for _, expr := range s.Ignore {
		re, err := regexp.Compile(expr)
		if err != nil {
			return nil, &Error{Flag: "--hash-ignore", Err: err}
		}
		if re.MatchString("") && re.MatchString("\x00any\x00") {
			return nil, &Error{Flag: "--hash-ignore", Problem: MatchesAll, Value: expr}
		}
		ignore = append(ignore, re)
	}
	var kept []string
	for i, arg := range argv {
		ignored := func(re *regexp.Regexp) bool { return re.MatchString(arg) }
		if i == 0 || !slices.ContainsFunc(ignore, ignored) {
			kept = append(kept, arg)
		}
	}
	return hashkey.Argv(kept), nil
}

// DeriveKey returns the key of a call without a given key: a digest of the
// namespace, the working directory and the inputs of the call.
func DeriveKey(namespace, dir string, in hashkey.Inputs) string {
	all := append(hashkey.Inputs{
		{Kind: hashkey.KindValue, Name: "namespace", Value: []byte(namespace)},
		{Kind: hashkey.KindCwd, Value: []byte(dir)},
	}, in...)
	return "auto:" + strings.TrimPrefix(all.Fingerprint(), "h1:")[:32]
}

// Missing is a flag whose file or variable does not exist.
type Missing struct {
	Kind    hashkey.Kind // KindFile or KindEnv
	Value   string       // of the flag
	Pattern bool         // Value is a pattern that matches nothing
}

// Missing returns the flags of s whose files and variables do not exist according to
// in, the inputs of the call. It leaves out files that may be absent.
func (s *Spec) Missing(in hashkey.Inputs) []Missing {
	missing := func(kind hashkey.Kind, name string) bool {
		return slices.ContainsFunc(in, func(p hashkey.Part) bool {
			return p.Kind == kind && p.Name == name && bytes.Equal(p.Value, hashkey.Absent())
		})
	}
	var list []Missing
	for _, path := range slices.Compact(slices.Sorted(slices.Values(s.Files))) {
		if missing(hashkey.KindFile, path) && !slices.Contains(s.Optional, path) {
			list = append(list, Missing{hashkey.KindFile, path, hasMeta(path)})
		}
	}
	for _, text := range s.Env {
		if missing(hashkey.KindEnv, text) {
			list = append(list, Missing{hashkey.KindEnv, text, isNamePattern(text)})
		}
	}
	return list
}
