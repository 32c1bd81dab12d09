#include "textflag.h"

// idem_start is where the kernel enters the program when it is linked with
// -ldflags=-E=idem_start. It looks at the limits under which Go's runtime would
// end the process before main, with its stacks and status 2, says so in one line
// instead, and goes on to the runtime. Linked without, the program begins with that.
//
// The kernel has SP point to argc. Nothing else of its registers counts.

#define SYS_write      1
#define SYS_mmap       9
#define SYS_munmap     11
#define SYS_getrlimit  97
#define SYS_geteuid    107
#define SYS_exit_group 231

#define RLIMIT_DATA  2
#define RLIMIT_NPROC 6
#define RLIMIT_AS    9

#define MiB (1<<20)

// What the runtime reserves (mpagealloc_64bit.go): summaries of all pages it might
// come to have; an index of 512 MiB, if there is room; the first of its heap, and
// the map of that. The numbers are on the safe side where the index just fits, and
// the last one includes what Fit in package proc requires.
#define SUMMARIES (586*MiB)
#define INDEX     (504*MiB)
#define HEAP      (196*MiB)

// What is written of this before main, and a little.
#define DATA_SIZE (84*MiB)

// MAP maps n bytes and leaves the address, or an error from -4095 on, in AX.
#define MAP(n, prot) \
	MOVQ $SYS_mmap, AX; MOVQ $0, DI; MOVQ $n, SI; MOVQ $prot, DX; MOVQ $0x22, R10; MOVQ $-1, R8; MOVQ $0, R9; SYSCALL

#define UNMAP(at, n) \
	MOVQ at, DI; MOVQ $SYS_munmap, AX; MOVQ $n, SI; SYSCALL

// LIMIT leaves a limit in BX, none where it cannot be had.
#define LIMIT(which) \
	MOVQ $-1, BX; MOVQ BX, 0(SP); MOVQ $SYS_getrlimit, AX; MOVQ $which, DI; MOVQ SP, SI; SYSCALL; MOVQ 0(SP), BX

TEXT idem_start(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	SUBQ	$32, SP

	LIMIT(RLIMIT_AS)
	CMPQ	BX, $0x7fffffff
	JHI	data
	MAP(SUMMARIES, 0)
	CMPQ	AX, $-4095
	JCC	nospace
	MOVQ	AX, R12
	MAP(INDEX, 0)
	MOVQ	AX, R13
	MAP(HEAP, 0)
	CMPQ	AX, $-4095
	JCC	nospace
	UNMAP(AX, HEAP)
	UNMAP(R12, SUMMARIES)
	CMPQ	R13, $-4095
	JCC	data
	UNMAP(R13, INDEX)

data:
	LIMIT(RLIMIT_DATA)
	CMPQ	BX, $0x7fffffff
	JHI	processes
	MAP(DATA_SIZE, 3)
	CMPQ	AX, $-4095
	JCC	nodata
	UNMAP(AX, DATA_SIZE)

processes:
	LIMIT(RLIMIT_NPROC)
	CMPQ	BX, $4
	JHI	start
	MOVQ	$SYS_geteuid, AX
	SYSCALL
	TESTQ	AX, AX // root has no such limit
	JNE	noprocess

start:
	ADDQ	$32, SP
	JMP	_rt0_amd64_linux(SB)

nospace:
	MOVQ	·noSpace+0(SB), SI
	MOVQ	·noSpace+8(SB), DX
	JMP	refuse

nodata:
	MOVQ	·noData+0(SB), SI
	MOVQ	·noData+8(SB), DX
	JMP	refuse

noprocess:
	MOVQ	·noProcess+0(SB), SI
	MOVQ	·noProcess+8(SB), DX

refuse:
	MOVQ	$SYS_write, AX
	MOVQ	$2, DI
	SYSCALL
	MOVQ	$SYS_exit_group, AX
	MOVQ	$69, DI // exitLedger
	SYSCALL
	INT	$3
