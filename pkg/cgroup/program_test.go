package cgroup

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// verify refuses what the kernel's verifier would refuse of the little that there
// is in device programs: jumps backwards or out of the program, instructions that
// nothing leads to, and an end that none is.
func verify(program []instruction) error {
	led := map[int]bool{0: true}
	for at, in := range program {
		if !led[at] {
			return fmt.Errorf("nothing leads to instruction %d", at)
		}
		if in.code == unix.BPF_JMP|unix.BPF_EXIT {
			continue
		}
		if in.code&7 == unix.BPF_JMP {
			if in.offset < 0 {
				return fmt.Errorf("instruction %d jumps back", at)
			}
			led[at+1+int(in.offset)] = true
		}
		led[at+1] = true
	}
	for at := range led {
		if at >= len(program) {
			return fmt.Errorf("instruction %d is led to, and there are %d", at, len(program))
		}
	}
	return nil
}

// interpret runs a program that has been verified, on a context of three words.
func interpret(program []instruction, context [3]uint32) (answer uint64, err error) {
	var registers [10]uint64
	for at := 0; ; at++ {
		in := program[at]
		to, value := &registers[in.registers&0xf], uint64(int64(in.value))
		jump := false
		switch in.code {
		case unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W:
			if in.registers>>4 != regContext {
				return 0, fmt.Errorf("instruction %d reads something else than its context", at)
			}
			*to = uint64(context[in.offset/4])
		case unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X:
			*to = registers[in.registers>>4]
		case unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K:
			*to = value
		case unix.BPF_ALU64 | unix.BPF_RSH | unix.BPF_K:
			*to >>= value
		case unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K:
			*to &= value
		case unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K:
			jump = *to != value
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump = *to == value
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump = *to&value != 0
		case unix.BPF_JMP | unix.BPF_EXIT:
			return registers[regAnswer], nil
		default:
			return 0, fmt.Errorf("instruction %d has the code %#x", at, in.code)
		}
		if jump {
			at += int(in.offset)
		}
	}
}

// access is one that a process asks for, in the words of the rules.
type access struct {
	kind         string
	major, minor int64
	letters      string
}

// allowed is what the rules mean, in the plainest words.
func allowed(rules []specs.LinuxDeviceCgroup, a access) bool {
	for _, letter := range a.letters {
		may := true
		for _, r := range rules {
			speaksOf := (r.Type == "" || r.Type == "a" || r.Type == a.kind) &&
				(r.Major == nil || *r.Major < 0 || *r.Major == a.major) &&
				(r.Minor == nil || *r.Minor < 0 || *r.Minor == a.minor)
			for _, l := range deviceAccess(r) {
				if speaksOf && l == letter {
					may = r.Allow
				}
			}
		}
		if !may {
			return false
		}
	}
	return true
}

// context is the access as the kernel writes it.
func (a access) context() [3]uint32 {
	kind := uint32(unix.BPF_DEVCG_DEV_BLOCK)
	if a.kind == "c" {
		kind = unix.BPF_DEVCG_DEV_CHAR
	}
	var letters uint32
	for _, l := range a.letters {
		letters |= map[rune]uint32{'m': unix.BPF_DEVCG_ACC_MKNOD, 'r': unix.BPF_DEVCG_ACC_READ, 'w': unix.BPF_DEVCG_ACC_WRITE}[l]
	}
	return [3]uint32{letters<<16 | kind, uint32(a.major), uint32(a.minor)}
}

// What rules and accesses are drawn from: few numbers, so that rules often speak of
// what is asked for.
var (
	someLetters = rapid.SampledFrom([]string{"r", "w", "m", "rw", "rm", "wm", "rwm"})
	someNumber  = rapid.SampledFrom([]int64{0, 1, 3, 5, 1<<20 - 1})
	someHalf    = rapid.Custom(func(t *rapid.T) *int64 {
		if rapid.Bool().Draw(t, "absent") {
			return nil
		}
		n := rapid.OneOf(someNumber, rapid.SampledFrom([]int64{-1, -7, 1 << 31, 1<<32 + 1, 1 << 62})).Draw(t, "number")
		return &n
	})
	someRules = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) specs.LinuxDeviceCgroup {
		return specs.LinuxDeviceCgroup{
			Allow: rapid.Bool().Draw(t, "allow"), Type: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "type"),
			Major: someHalf.Draw(t, "major"), Minor: someHalf.Draw(t, "minor"),
			Access: rapid.OneOf(someLetters, rapid.Just("")).Draw(t, "access"),
		}
	}), 0, 8)
	someAccess = rapid.Custom(func(t *rapid.T) access {
		return access{
			kind: rapid.SampledFrom([]string{"b", "c"}).Draw(t, "kind"), letters: someLetters.Draw(t, "letters"),
			major: someNumber.Draw(t, "major"), minor: someNumber.Draw(t, "minor"),
		}
	})
)

func TestDeviceProgramMeansItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := someRules.Draw(t, "rules")
		program := deviceProgram(rules)
		if err := verify(program); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			a := someAccess.Draw(t, "access")
			got, err := interpret(program, a.context())
			if want := allowed(rules, a); err != nil || (got == 1) != want || got > 1 {
				t.Fatalf("%+v: the answer is %d, %v, want %v by\n%s", a, got, err, want, deviceRules(rules))
			}
		}
	})
}

// asV1 is what the kernel says of an access by a verdict about all devices and
// exceptions from it: one of them must speak of all that is asked for where nothing
// else is allowed, and none of any of it where everything else is.
func asV1(allowed bool, exceptions []deviceException, a access) bool {
	merged := map[deviceException]string{}
	for _, e := range exceptions {
		letters := e.access
		e.access = ""
		merged[e] += letters
	}
	for e, letters := range merged {
		if !e.covers(deviceException{kind: a.kind, major: fmt.Sprint(a.major), minor: fmt.Sprint(a.minor)}) {
			continue
		}
		spoken := 0
		for _, l := range a.letters {
			if strings.ContainsRune(letters, l) {
				spoken++
			}
		}
		if allowed && spoken > 0 || !allowed && spoken == len(a.letters) {
			return !allowed
		}
	}
	return allowed
}

// TestDeviceExceptionsMeanTheirRules: what v1 cannot say is refused, and what it says
// is what is meant. Of two accesses at once that two rules allow it may still refuse
// both.
func TestDeviceExceptionsMeanTheirRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := someRules.Draw(t, "rules")
		verdict, exceptions, ok := deviceExceptions(rules)
		if !ok {
			return
		}
		for range 20 {
			a := someAccess.Draw(t, "access")
			got, want := asV1(verdict, exceptions, a), allowed(rules, a)
			if got && !want || got != want && len(a.letters) == 1 {
				t.Fatalf("%+v: allowed %v, want %v by\n%s\nas %v but for %v", a, got, want, deviceRules(rules), verdict, exceptions)
			}
		}
	})
}

// The last rule decides, on each of r, w and m by itself.
func TestLastRuleDecides(t *testing.T) {
	n := func(n int64) *int64 { return &n }
	rules := []specs.LinuxDeviceCgroup{
		{Allow: true, Type: "b", Access: "m"},
		{Allow: false},
		{Allow: true, Type: "c", Major: n(1), Minor: n(3), Access: "rw"},
		{Allow: true, Type: "c", Major: n(5)},
		{Allow: false, Type: "c", Major: n(5), Minor: n(2), Access: "w"},
	}
	program := deviceProgram(rules)
	for _, tt := range []struct {
		access access
		want   uint64
	}{
		{access{"c", 1, 3, "rw"}, 1},
		{access{"c", 1, 3, "m"}, 0},
		{access{"c", 1, 3, "rwm"}, 0},
		{access{"b", 1, 3, "r"}, 0},
		{access{"b", 8, 0, "m"}, 0},
		{access{"c", 5, 1, "rwm"}, 1},
		{access{"c", 5, 2, "r"}, 1},
		{access{"c", 5, 2, "rw"}, 0},
		{access{"c", 5, 1, ""}, 1}, // a look at whether it is there
	} {
		if got, err := interpret(program, tt.access.context()); err != nil || got != tt.want {
			t.Errorf("%+v: %d, %v, want %d", tt.access, got, err, tt.want)
		}
	}
}

func TestDeviceProgramsFitTheKernel(t *testing.T) {
	n := int64(7)
	rules := make([]specs.LinuxDeviceCgroup, mostDeviceRules+1)
	for i := range rules {
		rules[i] = specs.LinuxDeviceCgroup{Allow: i%2 == 0, Type: "c", Major: &n, Minor: &n, Access: "rw"}
	}
	if got := len(deviceProgram(rules[:mostDeviceRules])); got > 4096 {
		t.Errorf("the largest program has %d instructions", got)
	}
	_, unsupported, err := Values(V2, &specs.LinuxResources{Devices: rules}, ValueOptions{})
	if err != nil || len(unsupported) != 1 {
		t.Errorf("more rules are not refused: %v, %v", unsupported, err)
	}
}
