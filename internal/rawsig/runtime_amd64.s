//go:build linux && go1.26 && !go1.27 && !idem_public

#include "textflag.h"
#include "funcdata.h"

// func initial(n int) uintptr
TEXT ·initial(SB),NOSPLIT,$0-16
	MOVQ	n+0(FP), CX
	LEAQ	runtime·fwdSig(SB), AX
	MOVQ	(AX)(CX*8), AX
	MOVQ	AX, ret+8(FP)
	RET

// func goHandlers()
TEXT ·goHandlers(SB),0,$8-0
	NO_LOCAL_POINTERS
	CALL	runtime·libpreinit(SB)
	RET

// func isLibrary(is uint8)
TEXT ·isLibrary(SB),NOSPLIT,$0-1
	MOVB	is+0(FP), AX
	MOVB	AX, runtime·islibrary(SB)
	RET

// func signalsOK(are uint8)
TEXT ·signalsOK(SB),NOSPLIT,$0-1
	MOVB	are+0(FP), AX
	MOVB	AX, runtime·signalsOK(SB)
	RET

// func initialMask() uint64
TEXT ·initialMask(SB),NOSPLIT,$0-8
	MOVQ	runtime·initSigmask(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
