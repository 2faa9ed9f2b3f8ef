package footprint

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forget has the process forget which pages of its program's file it has used so far:
// for its own start, which was most of them, and for those of workloads. The kernel maps
// sixteen for each that is touched. They stay in the page cache, where the kernel may
// take them away, and are mapped again as they are used.
func forget(program []mapping) {
	for _, m := range program {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

// programMapped finds out where the program's file is mapped. Where it cannot, nothing
// is lost.
func programMapped() []mapping {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil
	}
	defer smaps.Close()
	return unchanged(bufio.NewScanner(smaps), self)
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// unchanged reads /proc/<pid>/smaps and returns where a file is mapped for reading
// or execution, and no page of it is the process's own. Such a page has been
// written to, by a debugger or by the loader of a program that can be loaded
// anywhere, and would be lost.
func unchanged(smaps *bufio.Scanner, file string) []mapping {
	var all []mapping
	var at mapping
	for smaps.Scan() {
		fields := strings.Fields(smaps.Text())
		switch {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"):
			at = mapping{}
			// What the path is is all that follows the fifth field.
			_, path, _ := strings.Cut(smaps.Text(), " "+fields[4]+" ")
			if (fields[1] == "r-xp" || fields[1] == "r--p") && strings.TrimSpace(path) == file {
				at = rangeOf(fields[0])
			}
		case at.end != 0 && len(fields) >= 2 && fields[0] == "Anonymous:" && fields[1] == "0":
			all = append(all, at)
		}
	}
	if smaps.Err() != nil {
		return nil
	}
	return all
}

// rangeOf reads 00400000-00b94000; anything else is no addresses at all.
func rangeOf(text string) mapping {
	from, to, _ := strings.Cut(text, "-")
	start, err := strconv.ParseUint(from, 16, strconv.IntSize)
	if err != nil {
		return mapping{}
	}
	end, err := strconv.ParseUint(to, 16, strconv.IntSize)
	if err != nil || end <= start {
		return mapping{}
	}
	return mapping{uintptr(start), uintptr(end)}
}
