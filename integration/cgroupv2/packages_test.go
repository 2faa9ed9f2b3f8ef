package cgroupv2

import (
	"path"
	"path/filepath"
	"testing"
)

// packages are those whose behaviour depends on the cgroups they meet.
var packages = []string{
	"pkg/cgroup",
	"pkg/localmesos",
	"pkg/localmesos/agent",
	"executor/workload",
}

func TestPackagesPassOnV2(t *testing.T) {
	for _, p := range packages {
		t.Run(p, func(t *testing.T) {
			t.Parallel()
			binary := filepath.Join(built, path.Base(p)+".test")
			compile(t, "test", "-c", "-o", binary, module+"/"+p)
			for _, m := range machines {
				t.Run(m.name, func(t *testing.T) {
					t.Parallel()
					end, _ := m.run(t, filepath.Join(moduleRoot(t), p), binary, "-test.v", "-test.short", "-test.timeout=4m")
					if end.Status != 0 {
						t.Errorf("the tests of %s ended with status %d", p, end.Status)
					}
				})
			}
		})
	}
}
