package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// endless is how much is read of a pipe or a device to find its end, when
// --max-output says that only a part of it is to be recorded.
const endless = 1 << 30

// outputFile is a file that a person names as the output of a key. A fault of it
// is theirs to mend.
type outputFile struct {
	file *os.File
	most int64 // bytes; negative: any number
	read int64
	why  string // more are too many
	hint string
}

// openOutput opens the file of --stdout-file, "-" for stdin. Without --max-output
// more than its default is refused: the rest would be dropped without a word. With
// it the file is cut as the output of a run is, but something must end.
func openOutput(path string, limit size, cut bool) (*outputFile, error) {
	f := &outputFile{file: os.Stdin, most: -1}
	if path != "-" {
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
