//go:build linux && (amd64 || arm64) && go1.26 && !go1.27 && !idem_public

#include "textflag.h"

// Variables of the runtime. The linker takes a definition with content in place of
// one without, so the ones here are the runtime's own.
//
// Another version of the runtime may have others in their place, so the build
// constraint admits only versions whose runtime was read and for which the tests of
// package proc and `chaos signals` passed. runtime_public.go is for the others.

// What the runtime has found at the start.
DATA runtime·fwdSig+0(SB)/8, $1 // of no signal
GLOBL runtime·fwdSig(SB), NOPTR, $520
DATA runtime·initSigmask+0(SB)/8, $0
GLOBL runtime·initSigmask(SB), NOPTR, $8

// A runtime that is (part of) a library leaves dispositions and masks to its host.
// init takes that back before main. One effect remains: a crash ends in ABRT
// instead of status 2, which a command may have as well.
DATA runtime·islibrary+0(SB)/1, $1
GLOBL runtime·islibrary(SB), NOPTR, $1

DATA runtime·signalsOK+0(SB)/1, $0
GLOBL runtime·signalsOK(SB), NOPTR, $1
