//go:build linux && go1.26 && !go1.27 && !idem_public

#include "textflag.h"
#include "funcdata.h"

// func initial(n int) uintptr
TEXT ·initial(SB),NOSPLIT,$0-16
	MOVD	n+0(FP), R0
	MOVD	$runtime·fwdSig(SB), R1
	MOVD	(R1)(R0<<3), R0
	MOVD	R0, ret+8(FP)
	RET

// func goHandlers()
TEXT ·goHandlers(SB),0,$8-0
	NO_LOCAL_POINTERS
	BL	runtime·libpreinit(SB)
	RET

// func isLibrary(is uint8)
TEXT ·isLibrary(SB),NOSPLIT,$0-1
	MOVBU	is+0(FP), R0
	MOVB	R0, runtime·islibrary(SB)
	RET

// func signalsOK(are uint8)
TEXT ·signalsOK(SB),NOSPLIT,$0-1
	MOVBU	are+0(FP), R0
	MOVB	R0, runtime·signalsOK(SB)
	RET

// func initialMask() uint64
TEXT ·initialMask(SB),NOSPLIT,$0-8
	MOVD	runtime·initSigmask(SB), R0
	MOVD	R0, ret+0(FP)
	RET
