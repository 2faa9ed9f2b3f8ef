package workload

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/executor/spawn"
)

// see has a program see what the View says: by namespaces of its own, or by those
// of the workload that it is to be with. What it returns is to be called once
// there is a process.
func (s *Spec) see(program *spawn.Program) (release func(), err error) {
	if s.With == nil {
		program.View = viewOf(s.View)
		return func() {}, nil
	}
	var files []*os.File
	release = func() { closeAll(files) }
	s.With.mu.Lock()
	defer s.With.mu.Unlock()
	if s.With.reaped || s.With.settling {
		return release, errors.New("it has ended") // Its number may be another's.
	}
	for _, kind := range s.View.Namespaces {
		name := string(kind)
		to := map[specs.LinuxNamespaceType]**os.File{
			specs.PIDNamespace: &program.Join.PID, specs.MountNamespace: &program.Join.Mount,
			specs.IPCNamespace: &program.Join.IPC, specs.UTSNamespace: &program.Join.UTS,
		}[kind]
		if kind == specs.MountNamespace {
			name = "mnt"
		}
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", s.With.pid, name))
		if err != nil {
			release()
			return func() {}, fmt.Errorf("cannot find its %s namespace: %w", kind, err)
		}
		*to, files = f, append(files, f)
	}
	return release, nil
}
