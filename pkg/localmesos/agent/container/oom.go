package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"golang.org/x/sys/unix"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// oomWatch calls a function once when a cgroup runs out of memory.
type oomWatch struct {
	dir    string
	notify func(dir string)
	// file tells of a change by being readable.
	file *os.File
	// happened says, after the file was readable, whether memory ran out.
	happened func() bool
	// late says so at the end, for what the file had no time to tell.
	late func() bool
	once sync.Once
	done chan struct{}
}

// watchOOM watches a group; it returns nil if that has no memory controller.
func watchOOM(g *cgroup.Group, notify func(dir string)) (*oomWatch, error) {
	if !g.Has("memory") {
		return nil, nil
	}
	w := &oomWatch{dir: memoryDir(g), notify: notify, done: make(chan struct{})}
	open := w.openV1
	if g.Version() == cgroup.V2 {
		open = w.openV2
	}
	if err := open(); err != nil {
		return nil, fmt.Errorf("cannot watch cgroup %s for want of memory: %w", g, err)
	}
	go func() {
		defer close(w.done)
		buffer := make([]byte, 4096)
		for {
			if _, err := w.file.Read(buffer); err != nil {
				return
			}
			if w.happened() {
				w.notify(w.dir)
				return
			}
		}
	}()
	return w, nil
}

// close ends the watch and waits until it is over. It must come before the
// cgroup is removed: that looks like want of memory on v1.
func (w *oomWatch) close() {
	w.once.Do(func() {
		_ = w.file.Close() // there is nothing to lose in it
		<-w.done
		if w.late() {
			w.notify(w.dir)
		}
	})
}

func memoryDir(g *cgroup.Group) string {
	for _, d := range g.Dirs() {
		for _, c := range d.Controllers {
			if c == "memory" {
				return d.Path
			}
		}
	}
	return ""
}

// openV1 registers an eventfd, which the kernel counts up at each shortage.
func (w *oomWatch) openV1() error {
	control, err := os.Open(filepath.Join(w.dir, "memory.oom_control"))
	if err != nil {
		return err
	}
	defer control.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return err
	}
	w.file = os.NewFile(uintptr(fd), "oom")
	line := fmt.Sprintf("%d %d", fd, control.Fd())
	if err := os.WriteFile(filepath.Join(w.dir, "cgroup.event_control"), []byte(line), 0); err != nil {
		return errors.Join(err, w.file.Close())
	}
	// A second descriptor reads what came when the first was closed already.
	second, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return errors.Join(err, w.file.Close())
	}
	w.happened = func() bool { return true }
	w.late = func() bool {
		defer unix.Close(second)
		var count [8]byte
		n, err := unix.Read(second, count[:])
		return err == nil && n == len(count)
	}
	return nil
}

// openV2 waits for changes of memory.events, whose oom count tells.
func (w *oomWatch) openV2() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	w.file = os.NewFile(uintptr(fd), "oom")
	events := filepath.Join(w.dir, "memory.events")
	if _, err := unix.InotifyAddWatch(fd, events, unix.IN_MODIFY); err != nil {
		return errors.Join(err, w.file.Close())
	}
	w.happened = func() bool {
		data, err := os.ReadFile(events)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(data)) {
			if count, ok := strings.CutPrefix(line, "oom "); ok && strings.TrimSpace(count) != "0" {
				return true
			}
		}
		return false
	}
	w.late = w.happened
	return nil
}

// outOfMemory destroys the container, with the words of a real agent's memory
// isolator.
func (c *Container) outOfMemory(dir string) {
	c.mu.Lock()
	if c.destroyed || c.limitation != nil {
		c.mu.Unlock()
		return
	}
	c.limitation = c.runtime.memoryLimitation(dir)
	c.mu.Unlock()
	c.Destroy()
}

// memoryLimitation says what a container has used of the memory of a cgroup.
func (r *Runtime) memoryLimitation(dir string) *core.Limitation {
	if r.host.Version == cgroup.V2 {
		return limitationV2(dir)
	}
	return limitationV1(dir)
}

func limitationV1(dir string) *core.Limitation {
	limit, used := readNumber(dir, "memory.limit_in_bytes"), readNumber(dir, "memory.max_usage_in_bytes")
	stat, _ := os.ReadFile(filepath.Join(dir, "memory.stat")) // for the reader's help only
	text := fmt.Sprintf("Memory limit exceeded: Requested: %s Maximum Used: %s\n\nMEMORY STATISTICS: \n%s\n",
		formatBytes(limit), formatBytes(used), stat)
	return memoryLimitation(text, used)
}

func limitationV2(dir string) *core.Limitation {
	stat := readStat(dir)
	text := fmt.Sprintf("Memory limit exceeded: \nMEMORY STATISTICS post-OOM: \nanon: %s\nfile: %s\nkernel: %s\n",
		formatBytes(stat["anon"]), formatBytes(stat["file"]), formatBytes(stat["kernel"]))
	return memoryLimitation(text, readNumber(dir, "memory.max"))
}

func memoryLimitation(text string, bytes uint64) *core.Limitation {
	mem := resources.Build().Name(resources.NameMem).Scalar(float64(bytes) / megabyte).Resource
	return &core.Limitation{
		Reason:    mesos.REASON_CONTAINER_LIMITATION_MEMORY,
		Message:   text,
		Resources: []mesos.Resource{mem},
	}
}

// readNumber reads a file with one number; one that is not there, or that says
// "max", counts as 0.
func readNumber(dir, file string) uint64 {
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// formatBytes writes a size as Mesos does: in the largest unit that holds it in
// whole numbers (3rdparty/stout/include/stout/bytes.hpp).
func formatBytes(n uint64) string {
	units := []string{"B", "KB", "MB", "GB", "TB"}
	i := 0
	for n > 0 && n%1024 == 0 && i < len(units)-1 {
		n /= 1024
		i++
	}
	return strconv.FormatUint(n, 10) + units[i]
}
