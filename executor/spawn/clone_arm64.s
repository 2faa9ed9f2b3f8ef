#include "go_asm.h"
#include "textflag.h"

#define SYS_exit_group	94
#define SYS_rt_sigprocmask	135
#define SIG_SETMASK	2

// func clone(trap, a1, a2, a3 uintptr, s *script, first *op) uintptr
TEXT ·clone(SB),NOSPLIT,$0-56
	MOVD	s+32(FP), R19	// the kernel keeps these two
	MOVD	first+40(FP), R20
	MOVD	$SYS_rt_sigprocmask, R8
	MOVD	$SIG_SETMASK, R0
	ADD	$script_all, R19, R1
	ADD	$script_before, R19, R2
	MOVD	$8, R3
	SVC
	MOVD	trap+0(FP), R8
	MOVD	a1+8(FP), R0
	MOVD	a2+16(FP), R1
	MOVD	a3+24(FP), R2
	MOVD	$0, R3
	MOVD	$0, R4
	SVC
	CBZ	R0, perform
	MOVD	R0, ret+48(FP)
	MOVD	$SYS_rt_sigprocmask, R8
	MOVD	$SIG_SETMASK, R0
	ADD	$script_before, R19, R1
	MOVD	$0, R2
	MOVD	$8, R3
	SVC
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
	MOVD	script_said(R19), R9
	MOVD	R0, report_result(R9)
	MOVD	R20, report_op(R9)
exit:
	MOVD	$SYS_exit_group, R8
	MOVD	$const_failedStatus, R0
	SVC
	B	exit
