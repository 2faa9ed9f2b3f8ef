package cgroup_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

func TestDevicesAreThoseAllowed(t *testing.T) {
	h := v1Host(t)
	if !slices.Contains(h.Controllers(), "devices") {
		t.Skip("needs the v1 controller devices")
	}
	g, err := h.Create(filepath.Join("/", "tandem-test-"+t.Name()), "devices")
	if err != nil {
		t.Skipf("needs a devices hierarchy that can be written to: %v", err)
	}
	t.Cleanup(func() {
		if err := g.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var r specs.LinuxResources
	const rules = `{"devices":[{"allow":false},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}]}`
	if err := json.Unmarshal([]byte(rules), &r); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Limit(&r, cgroup.Require); err != nil {
		t.Fatal(err)
	}
	if got := read(t, g, "devices", "devices.list"); got != "c 1:3 rw" {
		t.Errorf("the kernel allows %q", got)
	}
	// /dev/null may be written to, /dev/zero must not be read.
	shell, release := parked(t, "echo >/dev/null || exit 3; head -c 1 /dev/zero 2>/dev/null && exit 4; exit 0")
	if err := g.Add(shell.Process.Pid); err != nil {
		t.Fatal(err)
	}
	release()
	if err := shell.Wait(); err != nil {
		t.Errorf("3 means that it cannot write to /dev/null, 4 that it can read /dev/zero: %v", err)
	}
}
