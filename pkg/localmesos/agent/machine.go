package agent

import (
	"fmt"
	"runtime"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"
)

// complete adds the resources that the options left out, as a real agent finds
// them out: all CPUs, memory but for a gigabyte or the half, disk but for five
// gigabytes or the half, and the usual ports.
func complete(rs []mesos.Resource, workDir string) ([]mesos.Resource, error) {
	given := map[string]bool{}
	for _, r := range rs {
		given[r.Name] = true
	}
	amount := func(name string, value float64) {
		if !given[name] {
			rs = append(rs, mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}})
		}
	}
	amount("cpus", float64(runtime.NumCPU()))
	var memory unix.Sysinfo_t
	if err := unix.Sysinfo(&memory); err != nil {
		return nil, fmt.Errorf("cannot find out the machine's memory: %w", err)
	}
	amount("mem", spare(memory.Totalram*uint64(memory.Unit), 2<<30, 1<<30))
	var disk unix.Statfs_t
	if err := unix.Statfs(workDir, &disk); err != nil {
		return nil, fmt.Errorf("cannot find out the disk's size: %w", err)
	}
	amount("disk", spare(disk.Blocks*uint64(disk.Bsize), 10<<30, 5<<30))
	if !given["ports"] {
		rs = append(rs, mesos.Resource{
			Name: "ports", Type: mesos.RANGES.Enum(),
			Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 32000}}},
		})
	}
	return rs, nil
}

// spare is what may be offered of a total, in MB: all but a reserve, or half of
// what is too small for that.
func spare(total, enough, reserve uint64) float64 {
	if total >= enough {
		return float64((total - reserve) >> 20)
	}
	return float64((total / 2) >> 20)
}
