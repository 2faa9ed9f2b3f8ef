#include "go_asm.h"
#include "textflag.h"

#define SYS_read	63
#define SYS_write	64
#define SYS_exit_group	94

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
	MOVD	op_trap(R20), R8
	MOVD	op_args(R20), R0
	MOVD	(op_args+8)(R20), R1
	MOVD	(op_args+16)(R20), R2
	MOVD	(op_args+24)(R20), R3
	MOVD	(op_args+32)(R20), R4
	SVC
	MOVD	op_rule(R20), R9
	CMP	$const_ruleMust, R9
	BEQ	must
	CMP	$const_ruleEqual, R9
	BEQ	equal
	CMP	$const_ruleAsk, R9
	BEQ	ask
next:
	ADD	$op__size, R20
	B	perform
must:
	CMN	$4095, R0	// unsigned: what is not below -4095 is an errno
	BCC	next
	B	fail
equal:
	MOVD	op_want(R20), R10
	CMP	R10, R0
	BEQ	next
fail:
	MOVD	R20, (script_said+report_op)(R19)
	MOVD	R0, (script_said+report_result)(R19)
	MOVD	$SYS_write, R8
	MOVD	$const_childSocket, R0
	ADD	$(script_said+report_op), R19, R1
	MOVD	$report__size, R2
	SVC
exit:
	MOVD	$SYS_exit_group, R8
	MOVD	$const_failedStatus, R0
	SVC
	B	exit
ask:
	MOVD	R20, (script_said+report_op)(R19)
	MOVD	R0, (script_said+report_result)(R19)
	MOVD	$SYS_write, R8
	MOVD	$const_childSocket, R0
	ADD	$(script_said+report_op), R19, R1
	MOVD	$report__size, R2
	SVC
	MOVD	$SYS_read, R8
	MOVD	$const_childSocket, R0
	ADD	$script_answer, R19, R1
	MOVD	$1, R2
	SVC
	CMP	$1, R0
	BNE	exit
	MOVBU	script_answer(R19), R9
	MOVD	$op__size, R10
	MUL	R10, R9, R9
	ADD	R9, R20
	B	perform
