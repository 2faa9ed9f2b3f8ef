package bench

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// programs are the files that a run needs.
type programs struct {
	executor, null string
	// pause sleeps until it is killed, nop exits at once.
	pause, nop string
}

var built programs

func TestMain(m *testing.M) {
	if os.Getenv(asLoop) != "" {
		os.Exit(bareLoop())
	}
	flag.Parse()
	if f := flag.Lookup("test.bench"); f == nil || f.Value.String() == "" {
		os.Exit(m.Run()) // There is nothing to build for.
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tandem-bench-")
		if err == nil {
			defer os.RemoveAll(dir)
			err = os.Chmod(dir, 0o755)
		}
		if err == nil {
			built, err = build(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func build(dir string) (programs, error) {
	p := programs{
		executor: filepath.Join(dir, "tandem-executor"), null: filepath.Join(dir, "nullexecutor"),
		pause: filepath.Join(dir, "pause"), nop: filepath.Join(dir, "nop"),
	}
	for file, pkg := range map[string]string{p.executor: "../../executor", p.null: "../nullexecutor"} {
		b := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, pkg)
		b.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := b.CombinedOutput(); err != nil {
			return p, fmt.Errorf("cannot build %s: %w\n%s", pkg, err, out)
		}
	}
	for file, code := range map[string][]byte{p.pause: pauseCode[runtime.GOARCH], p.nop: nopCode[runtime.GOARCH]} {
		if err := os.WriteFile(file, elf(code), 0o755); err != nil {
			return p, err
		}
	}
	return p, nil
}

// The workloads, in machine code.
var (
	pauseCode = map[string][]byte{
		"amd64": {
			0xb8, 0x22, 0, 0, 0, // mov $34 (pause), %eax
			0x0f, 0x05, // syscall
			0xeb, 0xf7, // jmp to the first
		},
		"arm64": {
			0xe0, 0x03, 0x1f, 0xaa, // mov x0, xzr
			0xe1, 0x03, 0x1f, 0xaa, // mov x1, xzr
			0xe2, 0x03, 0x1f, 0xaa, // mov x2, xzr
			0xe3, 0x03, 0x1f, 0xaa, // mov x3, xzr
			0x28, 0x09, 0x80, 0xd2, // mov x8, #73 (ppoll)
			0x01, 0x00, 0x00, 0xd4, // svc #0
			0xfa, 0xff, 0xff, 0x17, // b to the first
		},
	}
	nopCode = map[string][]byte{
		"amd64": {
			0x31, 0xff, // xor %edi, %edi
			0xb8, 0x3c, 0, 0, 0, // mov $60 (exit), %eax
			0x0f, 0x05, // syscall
		},
		"arm64": {
			0x00, 0x00, 0x80, 0xd2, // mov x0, #0
			0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93 (exit)
			0x01, 0x00, 0x00, 0xd4, // svc #0
		},
	}
)

// elf wraps machine code into the smallest executable file.
func elf(code []byte) []byte {
	const (
		base    = 0x400000
		headers = 64 + 56
	)
	machine := map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH]
	size := uint64(headers + len(code))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, v := range []any{
		// The file: executable, of this machine, version, entry, where the
		// program headers are, no sections, flags, and sizes and counts.
		uint16(2), machine, uint32(1), uint64(base + headers), uint64(64), uint64(0), uint32(0),
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		// Its one segment: loaded, read and execute, all of the file.
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000),
	} {
		_ = binary.Write(&b, binary.LittleEndian, v) // a Buffer takes everything
	}
	b.Write(code)
	return b.Bytes()
}

// need skips what cannot be measured here.
func need(b *testing.B) {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("needs root: makes cgroups")
	}
	if pauseCode[runtime.GOARCH] == nil {
		b.Skip("has no workload in the machine code of " + runtime.GOARCH)
	}
	if testing.Short() {
		b.Skip("takes its time")
	}
}
