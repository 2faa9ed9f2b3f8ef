#include "textflag.h"
#include "script.h"

// func clone(trap, a1, a2, a3 uintptr, s *script, first *op) uintptr
TEXT ·clone(SB),NOSPLIT,$0-56
	MOVD	trap+0(FP), R8
	MOVD	a1+8(FP), R0
	MOVD	a2+16(FP), R1
	MOVD	a3+24(FP), R2
	MOVD	s+32(FP), R19	// the kernel keeps these two
	MOVD	first+40(FP), R20
	MOVD	$0, R3
	MOVD	$0, R4
	SVC
	CBZ	R0, perform
	MOVD	R0, ret+48(FP)
	RET

	// The child: no stack, no Go.
perform:
	MOVD	OP_TRAP(R20), R8
	MOVD	OP_ARGS(R20), R0
	MOVD	(OP_ARGS+8)(R20), R1
	MOVD	(OP_ARGS+16)(R20), R2
	MOVD	(OP_ARGS+24)(R20), R3
	MOVD	(OP_ARGS+32)(R20), R4
	SVC
	MOVD	OP_RULE(R20), R9
	CMP	$RULE_MUST, R9
	BEQ	must
	CMP	$RULE_EQUAL, R9
	BEQ	equal
	CMP	$RULE_ASK, R9
	BEQ	ask
next:
	ADD	$OP_SIZE, R20
	B	perform
must:
	CMN	$4095, R0	// unsigned: what is not below -4095 is an errno
	BCC	next
	B	fail
equal:
	MOVD	OP_WANT(R20), R10
	CMP	R10, R0
	BEQ	next
fail:
	MOVD	R20, SCRIPT_FAILED(R19)
	MOVD	R0, SCRIPT_RESULT(R19)
	MOVD	$SYS_write, R8
	MOVD	$SOCKET, R0
	ADD	$SCRIPT_FAILED, R19, R1
	MOVD	$REPORT_SIZE, R2
	SVC
exit:
	MOVD	$SYS_exit_group, R8
	MOVD	$FAILED_STATUS, R0
	SVC
	B	exit
ask:
	MOVD	R20, SCRIPT_FAILED(R19)
	MOVD	R0, SCRIPT_RESULT(R19)
	MOVD	$SYS_write, R8
	MOVD	$SOCKET, R0
	ADD	$SCRIPT_FAILED, R19, R1
	MOVD	$REPORT_SIZE, R2
	SVC
	MOVD	$SYS_read, R8
	MOVD	$SOCKET, R0
	ADD	$SCRIPT_ANSWER, R19, R1
	MOVD	$1, R2
	SVC
	CMP	$1, R0
	BNE	exit
	MOVBU	SCRIPT_ANSWER(R19), R9
	MOVD	$OP_SIZE, R10
	MUL	R10, R9, R9
	ADD	R9, R20
	B	perform
