//go:build postgres

#include "textflag.h"

// idem_sibling starts Go's runtime: this program is the sibling.
TEXT idem_sibling(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	JMP	_rt0_amd64_linux(SB)
