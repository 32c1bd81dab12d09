package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// endless is the number of bytes after which a pipe or a device counts as endless.
// It applies with --max-output, which records only a part of the bytes.
const endless = 1 << 30

// outputFile is the file of --stdout-file. Its errors are failures of usage, because
// the user can correct them.
type outputFile struct {
	file *os.File
	most int64  // the limit in bytes; negative: none
	read int64  // bytes so far
	why  string // the fault of a file with more bytes than most
	hint string // the hint for that fault
}

// openOutput opens the file of --stdout-file, "-" for stdin. cut reports whether
// --max-output is given. Without it, a file larger than the default limit is refused,
// because the rest would be dropped silently. With it, the file is cut as the output
// of a run is, but an endless file is refused.
func openOutput(path string, limit size, cut bool) (*outputFile, error) {
	f := &outputFile{file: os.Stdin, most: -1}
	if path == "-" {
		if err := requireStdin(); err != nil {
			return nil, err
		}
	} else {
		var err error
		if f.file, err = os.Open(path); err != nil {
			return nil, usage("--stdout-file: %v", err)
		}
	}
	info, err := f.file.Stat()
	if err != nil {
		f.file.Close()
		return nil, usage("--stdout-file: %v", err)
	}
	f.hint = fmt.Sprintf("to record its beginning, pass that as stdin (--stdout-file -): head -c %d %s", max(limit.bytes, 0), shellQuote(f.file.Name()))
	switch {
	case info.IsDir():
		f.file.Close()
		return nil, usage("--stdout-file: %s is a directory", path)
	case !cut:
		f.most, f.why = limit.bytes, "has more than "+limit.text
		if info.Mode().IsRegular() {
			f.hint = "to record its beginning and its last 1 MiB: --max-output " + limit.text
		}
	case limit.bytes >= 0:
		f.most, f.why = max(info.Size(), endless), "has no end in its first GiB"
	}
	return f, nil
}

func (f *outputFile) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.read += int64(n)
	switch {
	case f.most >= 0 && f.read > f.most:
		return 0, usage("--stdout-file: %s %s", f.file.Name(), f.why).hint("%s", f.hint)
	case err != nil && !errors.Is(err, io.EOF):
		err = usage("--stdout-file: %v", err)
	}
	return n, err
}
