package cgroup

import (
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// instruction is one of eBPF, as the kernel's struct bpf_insn is on machines of
// either byte order that Go runs executors on: the registers' halves are little
// endian's.
type instruction struct {
	code      uint8
	registers uint8 // destination in the lower half, source in the upper
	offset    int16
	value     int32
}

// The registers of a device program. The kernel calls it with the context in
// register 1 and takes the answer from register 0: whether the access is allowed.
const (
	regAnswer = iota
	regContext
	regKind
	regAccess // those of r, w and m on which nothing is decided yet
	regMajor
	regMinor
)

// The context is a struct bpf_cgroup_dev_ctx: the access in the upper half of the
// first word and the kind in the lower, then major and minor.
const (
	contextAccess = 0
	contextMajor  = 4
	contextMinor  = 8
)

// mostDeviceRules keeps a program within the 4096 instructions that every kernel
// takes: a rule is five at most.
const mostDeviceRules = 800

// everyAccess is all that can be asked for.
const everyAccess = unix.BPF_DEVCG_ACC_MKNOD | unix.BPF_DEVCG_ACC_READ | unix.BPF_DEVCG_ACC_WRITE

// deviceProgram assembles the program that holds a v2 cgroup to rules. Of each
// access that is asked for the last rule that speaks of it decides; all must be
// allowed. What no rule speaks of is as it is for the cgroup above, as in a fresh
// cgroup of v1.
//
// It looks at the rules from the last to the first, and only jumps ahead, which
// every kernel takes that takes such programs.
func deviceProgram(rules []specs.LinuxDeviceCgroup) []instruction {
	program := []instruction{
		{code: unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, registers: regKind | regContext<<4, offset: contextAccess},
		{code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X, registers: regAccess | regKind<<4},
		{code: unix.BPF_ALU64 | unix.BPF_RSH | unix.BPF_K, registers: regAccess, value: 16},
		{code: unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K, registers: regKind, value: 0xffff},
		{code: unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, registers: regMajor | regContext<<4, offset: contextMajor},
		{code: unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, registers: regMinor | regContext<<4, offset: contextMinor},
	}
	var denials, permits []int // jumps to the ends
	for _, rule := range slices.Backward(rules) {
		tests, access, ok := deviceTests(rule)
		if !ok {
			continue
		}
		// What a rule does is two instructions, or one.
		body := []instruction{{code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, registers: regAccess, value: access}}
		ends := &denials
		if rule.Allow {
			body = []instruction{
				{code: unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K, registers: regAccess, value: everyAccess &^ access},
				{code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, registers: regAccess},
			}
			ends = &permits
		}
		for i, test := range tests {
			test.code = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
			test.offset = int16(len(tests) - i - 1 + len(body)) // to the next rule
			program = append(program, test)
		}
		program = append(program, body...)
		*ends = append(*ends, len(program)-1)
		if len(tests) == 0 && access == everyAccess {
			break // Nothing is left for the rules before it.
		}
	}
	program = end(program, permits, 1)
	if len(denials) > 0 { // The kernel takes no instructions that nothing leads to.
		program = end(program, denials, 0)
	}
	return program
}

// end adds an end of the program with an answer, to which the jumps lead.
func end(program []instruction, jumps []int, answer int32) []instruction {
	for _, at := range jumps {
		program[at].offset = int16(len(program) - at - 1)
	}
	return append(program,
		instruction{code: unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K, registers: regAnswer, value: answer},
		instruction{code: unix.BPF_JMP | unix.BPF_EXIT})
}

// deviceTests returns what must be equal for a rule to speak of a device, and the
// access that it speaks of. It is not ok when no device has such a number.
func deviceTests(d specs.LinuxDeviceCgroup) (tests []instruction, access int32, ok bool) {
	switch d.Type {
	case "b":
		tests = append(tests, instruction{registers: regKind, value: unix.BPF_DEVCG_DEV_BLOCK})
	case "c":
		tests = append(tests, instruction{registers: regKind, value: unix.BPF_DEVCG_DEV_CHAR})
	}
	for _, half := range []struct {
		register uint8
		number   *int64
	}{{regMajor, d.Major}, {regMinor, d.Minor}} {
		switch n := half.number; {
		case n == nil || *n < 0:
		case *n > math.MaxInt32: // the kernel's have 12 and 20 bits
			return nil, 0, false
		default:
			tests = append(tests, instruction{registers: half.register, value: int32(*n)})
		}
	}
	for _, c := range deviceAccess(d) {
		switch c {
		case 'm':
			access |= unix.BPF_DEVCG_ACC_MKNOD
		case 'r':
			access |= unix.BPF_DEVCG_ACC_READ
		case 'w':
			access |= unix.BPF_DEVCG_ACC_WRITE
		}
	}
	return tests, access, true
}
