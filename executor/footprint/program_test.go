package footprint

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestOnlyWhatIsAsInTheFileIsForgotten(t *testing.T) {
	const smaps = `00400000-00b94000 r-xp 00000000 fe:00 123456   /opt/tandem executor
Size:               7760 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
00b94000-012cd000 r--p 00794000 fe:00 123456   /opt/tandem executor
Anonymous:             0 kB
012cd000-01344000 rw-p 00ecd000 fe:00 123456   /opt/tandem executor
Anonymous:             0 kB
01344000-01345000 r--p 00f44000 fe:00 123456   /opt/tandem executor
Anonymous:             4 kB
01346000-01347000 r--p 00f44000 fe:00 123456   /opt/tandem executor
Size:                  4 kB
01348000-01349000 r--p 00000000 fe:00 99   /lib/other
Anonymous:             0 kB
0134a000-0134b000 r--p 00000000 00:00 0
Anonymous:             0 kB
zz-0134b000 r--p 00000000 fe:00 123456   /opt/tandem executor
Anonymous:             0 kB
7ffc3b954000-7ffc3b975000 rw-p 00000000 00:00 0  [stack]
Anonymous:             0 kB
`
	got := unchanged(bufio.NewScanner(strings.NewReader(smaps)), "/opt/tandem executor")
	want := []mapping{{0x400000, 0xb94000}, {0xb94000, 0x12cd000}}
	if !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func FuzzUnchanged(f *testing.F) {
	f.Add("00400000-00b94000 r-xp 00000000 fe:00 1 /x\nAnonymous: 0 kB\n")
	f.Fuzz(func(t *testing.T, smaps string) {
		for _, m := range unchanged(bufio.NewScanner(strings.NewReader(smaps)), "/x") {
			if m.start >= m.end {
				t.Errorf("%x", m)
			}
		}
	})
}

// A program goes on as if nothing had happened, with less of its file mapped.
func TestProgramGoesOn(t *testing.T) {
	before := mapped(t)
	forget(programMapped())
	if after := mapped(t); after >= before {
		t.Errorf("%d kB of files are mapped, %d before", after, before)
	}
	rest := New()
	defer rest.Stop()
	rest.rest()
	rest.Starting()
}

// mapped returns how many kB of files are mapped here.
func mapped(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "RssFile:"); ok {
			n, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("the kernel does not say how much of files is mapped")
	return 0
}
