package proc

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// atExecfn is AT_EXECFN of getauxval(3).
const atExecfn = 31

// executedAs returns the path that execve(2) was given for this program, as the
// kernel has noted it in the process itself, and "" where that is not known. It is
// relative to the working directory of that moment, which idem never changes.
func executedAs() string {
	vector, err := unix.Auxv()
	if err != nil {
		return ""
	}
	for _, v := range vector {
		if v[0] == atExecfn && v[1] != 0 {
			return unix.BytePtrToString(*(**byte)(unsafe.Pointer(&v[1])))
		}
	}
	return ""
}
