package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/core"
)

// DestroyTimeout is how long a container may take to die and be removed
// (--cgroups_destroy_timeout).
const DestroyTimeout = time.Minute

// controllers are those that a container is made in: what the launcher and the
// cgroups/cpu, cgroups/mem and cgroups/pids isolators of a real agent use.
var controllers = []string{"cpu", "cpuacct", "memory", "pids", freezer}

const (
	freezer = "freezer"
	// leaf is where the processes of a container are on cgroup v2, below what
	// has its limits.
	leaf = "leaf"
)

// Options are what a Runtime is made of.
type Options struct {
	// Root is the cgroup below which the containers are made
	// (--cgroups_root); empty means no cgroups at all.
	Root string
	// CFS bounds a container's CPU time by its request, too
	// (--cgroups_enable_cfs).
	CFS bool
	// Logger gets what goes wrong in a way that nobody else would hear of.
	Logger logrus.FieldLogger
}

func (o Options) validate() error {
	if o.Logger == nil {
		return errors.New("no logger for containers is given")
	}
	if strings.Contains(o.Root, "..") {
		return fmt.Errorf("cgroups root %q is not a plain path", o.Root)
	}
	return nil
}

// Runtime starts containers.
type Runtime struct {
	options Options
	host    cgroup.Host
	root    string // path of the root cgroup; empty without cgroups
}

// New returns a runtime. It fails if cgroups are wanted and cannot be made.
func New(o Options) (*Runtime, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Runtime{options: o}
	if o.Root == "" {
		return r, nil
	}
	host, err := cgroup.ReadHost()
	if err != nil {
		return nil, fmt.Errorf("cannot use cgroups: %w", err)
	}
	r.host, r.root = host, path.Join(base(host), o.Root)
	// Made and removed once, so that a machine that allows no cgroups shows
	// it here and not at the first launch.
	probe, err := host.Create(path.Join(r.root, "probe"), controllers...)
	if err != nil {
		return nil, fmt.Errorf("cannot use cgroups: %w", err)
	}
	if err := probe.Remove(context.Background()); err != nil {
		return nil, fmt.Errorf("cannot use cgroups: %w", err)
	}
	return r, nil
}

// base is the cgroup that shows at the hierarchies' mount points: "/" but for
// an agent that itself runs in a container.
func base(h cgroup.Host) string {
	if len(h.Hierarchies) == 0 {
		return "/"
	}
	root := h.Hierarchies[0].Root
	for _, other := range h.Hierarchies {
		if other.Root != root {
			return "/"
		}
	}
	return root
}

// Version says which cgroups the containers are in.
func (r *Runtime) Version() cgroup.Version {
	if r.root == "" {
		return cgroup.None
	}
	return r.host.Version
}

// Close removes the root cgroup, unless another runtime has something in it.
func (r *Runtime) Close() error {
	if r.root == "" {
		return nil
	}
	for at := r.root; at != base(r.host); at = path.Dir(at) {
		root, err := r.host.Create(at, controllers...)
		if err != nil {
			return fmt.Errorf("cannot remove the cgroups' root: %w", err)
		}
		for _, d := range root.Dirs() {
			err := os.Remove(d.Path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EBUSY):
				return nil
			case err != nil:
				return fmt.Errorf("cannot remove the cgroups' root: %w", err)
			}
		}
	}
	return nil
}

// values are the writes that put limits in force.
func (r *Runtime) values(l core.Limits, first bool, currentMB float64) []cgroup.Value {
	if r.host.Version == cgroup.V2 {
		return valuesV2(l, r.options.CFS, first, currentMB)
	}
	return valuesV1(l, r.options.CFS, first, currentMB)
}
