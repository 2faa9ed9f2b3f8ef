package cgroup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// nullOnly allows /dev/null, and nothing else.
const nullOnly = `{"devices":[{"allow":false},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}]}`

func TestDevicesAreThoseAllowed(t *testing.T) {
	t.Run("v1", devicesOnV1)
	t.Run("v2", devicesOnV2)
}

func devicesOnV1(t *testing.T) {
	h := v1Host(t)
	if !slices.Contains(h.Controllers(), "devices") {
		t.Skip("needs the v1 controller devices")
	}
	g, err := h.Create(fmt.Sprintf("/tandem-test-devices-%d", os.Getpid()), "devices")
	if err != nil {
		t.Skipf("needs a devices hierarchy that can be written to: %v", err)
	}
	t.Cleanup(func() {
		if err := g.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := g.Limit(resources(t, nullOnly), cgroup.Require); err != nil {
		t.Fatal(err)
	}
	if got := read(t, g, "devices", "devices.list"); got != "c 1:3 rw" {
		t.Errorf("the kernel allows %q", got)
	}
	hasNullOnly(t, g)
	// A group below can be denied more, if that is said so that it can be had.
	below, err := h.Create(filepath.Join(g.String(), "below"), "devices")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = below.Remove(context.Background()) })
	if _, err := below.Limit(resources(t, `{"devices":[{"allow":false,"type":"b"}]}`), cgroup.Require); err == nil || !strings.Contains(err.Error(), "begin with {allow: false}") {
		t.Errorf("rules that go out from a container that has all devices, in one that has not: %v", err)
	}
	if _, err := below.Limit(resources(t, `{"devices":[{"allow":false}]}`), cgroup.Require); err != nil {
		t.Error(err)
	}
	if got := in(t, below, "(: >/dev/null) 2>&-"); got == 0 {
		t.Error("it has /dev/null")
	}
}

func devicesOnV2(t *testing.T) {
	g := newGroup(t, v2Host(t), "devices")
	limitDevices(t, g, nullOnly)
	hasNullOnly(t, g)
	// A group below can have no more, whatever its own rules are.
	below := newGroup(t, v2Host(t), "devices/below")
	limitDevices(t, below, `{"devices":[{"allow":true}]}`)
	hasNullOnly(t, below)
	// Without rules, it has what there is.
	if got := in(t, newGroup(t, v2Host(t), "free"), "head -c 1 /dev/zero >/dev/null"); got != 0 {
		t.Errorf("a group without rules cannot read /dev/zero: status %d", got)
	}
}

// The largest program, and each way to write a rule, as the kernel's verifier sees
// them.
func TestKernelTakesDevicePrograms(t *testing.T) {
	h := v2Host(t)
	many := []string{`{"allow":false}`}
	for i := range 799 {
		many = append(many, fmt.Sprintf(`{"allow":%v,"type":"c","major":%d,"minor":%d,"access":"w"}`, i%2 == 0, i/30, i%30))
	}
	for name, rules := range map[string]string{
		"many":         strings.Join(many, ","),
		"only denied":  `{"allow":false,"type":"b"}`,
		"all denied":   `{"allow":false}`,
		"all allowed":  `{"allow":false},{"allow":true}`,
		"of no device": `{"allow":false,"major":4294967296}`,
	} {
		t.Run(name, func(t *testing.T) {
			limitDevices(t, newGroup(t, h, strings.ReplaceAll(name, " ", "-")), `{"devices":[`+rules+`]}`)
		})
	}
}

// limitDevices sets limits on v2, or skips where the kernel lets nobody do so.
func limitDevices(t *testing.T, g *cgroup.Group, limits string) {
	t.Helper()
	_, err := g.Limit(resources(t, limits), cgroup.Require)
	var unsupported *cgroup.UnsupportedError
	if errors.As(err, &unsupported) {
		// Who asks for them as far as they can be had goes on, and is told.
		skipped, err2 := g.Limit(resources(t, limits), cgroup.Prefer)
		if err2 != nil || len(skipped) != 1 || skipped[0].Error() != err.Error() {
			t.Errorf("preferred: skipped %v, %v; want %v", skipped, err2, err)
		}
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func resources(t *testing.T, limits string) *specs.LinuxResources {
	t.Helper()
	r := &specs.LinuxResources{}
	if err := json.Unmarshal([]byte(limits), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// hasNullOnly looks from within a group at which devices it has.
func hasNullOnly(t *testing.T, g *cgroup.Group) {
	t.Helper()
	script := "echo >/dev/null || exit 3; head -c 1 </dev/zero && exit 4; mknod " + filepath.Join(t.TempDir(), "null") + " c 1 3 && exit 5; exit 0"
	if got := in(t, g, script); got != 0 {
		t.Errorf("status %d; 3 means that it cannot write to /dev/null, 4 that it can read /dev/zero, 5 that it can make a device", got)
	}
}

// in runs a script in a group, and returns its exit status.
func in(t *testing.T, g *cgroup.Group, script string) int {
	t.Helper()
	shell, release := parked(t, script)
	if err := g.Add(shell.Process.Pid); err != nil {
		t.Fatal(err)
	}
	release()
	_ = shell.Wait()
	return shell.ProcessState.ExitCode()
}
