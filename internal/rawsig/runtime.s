//go:build linux && (amd64 || arm64) && go1.26 && !go1.27 && !idem_public

#include "textflag.h"

// These are variables of the runtime. The linker prefers a definition with content
// to one without, so the definitions here are the ones that the runtime uses.
//
// Another version of the runtime may have other variables. So the build constraint
// admits only versions whose runtime was read, and for which the tests of package
// proc and `chaos signals` passed. Other versions use runtime_public.go.

// The runtime stores the dispositions and the mask of the start here.
DATA runtime·fwdSig+0(SB)/8, $1 // there is no signal 0
GLOBL runtime·fwdSig(SB), NOPTR, $520
DATA runtime·initSigmask+0(SB)/8, $0
GLOBL runtime·initSigmask(SB), NOPTR, $8

// A runtime that is part of a library leaves dispositions and masks to its host.
// init resets the variable before main. One effect remains: a crash ends with ABRT
// instead of status 2, which could also be the exit status of a command.
DATA runtime·islibrary+0(SB)/1, $1
GLOBL runtime·islibrary(SB), NOPTR, $1

DATA runtime·signalsOK+0(SB)/1, $0
GLOBL runtime·signalsOK(SB), NOPTR, $1
