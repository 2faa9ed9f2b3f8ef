package container

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// DiskQuota is how much may lie below a directory, which is a container's sandbox
// or a persistent volume of its. What is decided is a real agent's
// (src/slave/containerizer/mesos/isolators/posix/disk.cpp).
type DiskQuota struct {
	Dir string
	// Resources are what was asked for, each of disk.
	Resources []mesos.Resource
}

func (q DiskQuota) bytes() uint64 {
	mb := 0.0
	for i := range q.Resources {
		mb += q.Resources[i].GetScalar().GetValue()
	}
	return uint64(mb * megabyte)
}

// sandbox says that the quota is not a volume's.
func (q DiskQuota) sandbox() bool {
	return len(q.Resources) > 0 && q.Resources[0].GetDisk().GetVolume() == nil
}

// bounded says that somebody must see to it that the quota is kept: what is a
// file system by itself is full when it is full.
func (q DiskQuota) bounded() bool {
	for i := range q.Resources {
		if q.Resources[i].GetDisk().GetSource().GetType() == mesos.Resource_DiskInfo_Source_MOUNT {
			return false
		}
	}
	return true
}

// disk is what is known of one quota.
type disk struct {
	quota    DiskQuota
	used     uint64
	measured bool
}

// MeasureDisk looks how much of its disk a container uses, which takes as long as
// reading all its directories, and destroys one that uses too much. Quotas that
// were given before and are not any more are forgotten.
func (c *Container) MeasureDisk(quotas []DiskQuota) {
	disks := make([]disk, len(quotas))
	for i, q := range quotas {
		used, err := diskUsage(q.Dir)
		disks[i] = disk{quota: q, used: used, measured: err == nil}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disks = disks
	for _, d := range disks {
		if limit := d.quota.bytes(); d.measured && d.quota.bounded() && d.used > limit && !c.destroyed && c.limitation == nil {
			c.limitation = diskLimitation(d)
			c.destroy()
		}
	}
}

func diskLimitation(d disk) *core.Limitation {
	limited := d.quota.Resources
	if sum, err := resource.FromMesos(limited); err == nil {
		limited = sum.ToMesos() // several of one kind are one
	}
	return &core.Limitation{
		Reason:    mesos.REASON_CONTAINER_LIMITATION_DISK,
		Message:   fmt.Sprintf("Disk usage (%s) exceeds quota (%s)", formatBytes(d.used), formatBytes(d.quota.bytes())),
		Resources: limited,
	}
}

// tellDisk adds what was last measured to what a container uses: of volumes first.
func tellDisk(s *mesos.ResourceStatistics, disks []disk) {
	var ofSandbox *mesos.DiskStatistics
	for i := range disks {
		d := &disks[i]
		limit := d.quota.bytes()
		statistics := mesos.DiskStatistics{LimitBytes: &limit}
		if d.measured {
			statistics.UsedBytes = &d.used
		}
		if d.quota.sandbox() {
			s.DiskLimitBytes, s.DiskUsedBytes = &limit, &d.used
			statistics.UsedBytes = &d.used
			ofSandbox = &statistics
			continue
		}
		info := d.quota.Resources[0].GetDisk()
		statistics.Source, statistics.Persistence = info.GetSource(), info.GetPersistence()
		s.DiskStatistics = append(s.DiskStatistics, statistics)
	}
	if ofSandbox != nil {
		s.DiskStatistics = append(s.DiskStatistics, *ofSandbox)
	}
}

// diskUsage is how much of a disk all below a directory takes, as du -k -s tells
// it: in whole blocks of 1 KB, directories included, links not followed, and a
// file with several names once. What goes away meanwhile counts as nothing.
func diskUsage(dir string) (uint64, error) {
	const sector, block = 512, 1024
	var sectors uint64
	type inode struct{ device, number uint64 }
	seen := map[inode]bool{}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return 0, fmt.Errorf("cannot measure a container's disk: %w", err)
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				stat := info.Sys().(*syscall.Stat_t)
				file := inode{stat.Dev, stat.Ino}
				if entry.IsDir() || stat.Nlink == 1 || !seen[file] {
					sectors += uint64(stat.Blocks)
				}
				if !entry.IsDir() && stat.Nlink > 1 {
					seen[file] = true
				}
			}
		}
		if err != nil && path != dir && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot measure a container's disk: %w", err)
	}
	return (sectors*sector + block - 1) / block * block, nil
}
