package cgroup_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

// mountTables are /proc/self/mountinfo of machines of several kinds.
var mountTables = map[string]string{
	"hybrid": `24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
31 24 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
32 31 0:28 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:29 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct
37 31 0:34 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,memory
`,
	"unified": `24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
`,
	"unified with local events and a VPN's net_cls": `35 24 0:30 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 none rw,seclabel,memory_localevents
99 24 0:55 / /opt/vpn\040client/net_cls rw,relatime - cgroup none rw,net_cls
`,
	"a container that sees its part": `35 24 0:30 /docker/4f5a /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
36 24 0:31 /docker/4f5a /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu
`,
	"mounted twice": `35 24 0:30 / /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory
36 24 0:30 / /mnt/memory rw - cgroup cgroup rw,memory
37 24 0:30 / /mnt/again rw - cgroup cgroup rw,memory
`,
	"none": `24 30 0:22 / /sys rw,nosuid shared:7 - sysfs sysfs rw
`,
}

func hostOf(t *testing.T, name string) cgroup.Host {
	t.Helper()
	h, err := cgroup.ParseHost(strings.NewReader(mountTables[name]))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestParseHost(t *testing.T) {
	for name, want := range map[string]cgroup.Host{
		"hybrid": {Version: cgroup.V1, Hierarchies: []cgroup.Hierarchy{
			{Mount: "/sys/fs/cgroup/systemd", Root: "/", Controllers: []string{"name=systemd"}},
			{Mount: "/sys/fs/cgroup/cpu,cpuacct", Root: "/", Controllers: []string{"cpu", "cpuacct"}},
			{Mount: "/sys/fs/cgroup/memory", Root: "/", Controllers: []string{"memory"}},
		}},
		"unified": {Version: cgroup.V2, Hierarchies: []cgroup.Hierarchy{
			{Mount: "/sys/fs/cgroup", Root: "/", Unified: true},
		}},
		"unified with local events and a VPN's net_cls": {Version: cgroup.V2, Hierarchies: []cgroup.Hierarchy{
			{Mount: "/sys/fs/cgroup", Root: "/", Unified: true, LocalEvents: true},
		}},
		"a container that sees its part": {Version: cgroup.V1, Hierarchies: []cgroup.Hierarchy{
			{Mount: "/sys/fs/cgroup/memory", Root: "/docker/4f5a", Controllers: []string{"memory"}, ReadOnly: true},
			{Mount: "/sys/fs/cgroup/cpu", Root: "/docker/4f5a", Controllers: []string{"cpu"}, ReadOnly: true},
		}},
		"mounted twice": {Version: cgroup.V1, Hierarchies: []cgroup.Hierarchy{
			{Mount: "/mnt/memory", Root: "/", Controllers: []string{"memory"}},
		}},
		"none": {},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, hostOf(t, name)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if _, err := cgroup.ParseHost(strings.NewReader("35 24 0:30 / /sys/fs/cgroup\n")); err == nil {
		t.Error("a line that is cut off was read")
	}
}

func TestDirOfAGroup(t *testing.T) {
	for _, c := range []struct{ root, group, want string }{
		{"/", "/", "/sys/fs/cgroup/memory"},
		{"/", "/mesos/1", "/sys/fs/cgroup/memory/mesos/1"},
		{"/docker/4f5a", "/docker/4f5a", "/sys/fs/cgroup/memory"},
		{"/docker/4f5a", "/docker/4f5a/mesos/1", "/sys/fs/cgroup/memory/mesos/1"},
		{"/docker/4f5a", "/docker/4f5abc", ""},
		{"/docker/4f5a", "/", ""},
		{"/", "/../other", ""},
		{"/", "/..", ""},
		{"/../..", "/", ""},
		{"/", "relative", ""},
		{"/", "", ""},
	} {
		h := cgroup.Hierarchy{Mount: "/sys/fs/cgroup/memory", Root: c.root}
		got, err := h.Dir(c.group)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("root %s, group %s: %q, %v; want %q", c.root, c.group, got, err, c.want)
		}
	}
}

func TestParseMembership(t *testing.T) {
	m, err := cgroup.ParseMembership(strings.NewReader(`12:cpu,cpuacct:/mesos/a:b
4:memory:/mesos/a:b
1:name=systemd:/system.slice/mesos-agent.service
0::/system.slice/mesos-agent.service
`))
	if err != nil {
		t.Fatal(err)
	}
	want := cgroup.Membership{
		Controllers: map[string]string{
			"cpu": "/mesos/a:b", "cpuacct": "/mesos/a:b", "memory": "/mesos/a:b",
			"name=systemd": "/system.slice/mesos-agent.service",
		},
		Unified: "/system.slice/mesos-agent.service",
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := cgroup.ParseMembership(strings.NewReader("what is this\n")); err == nil {
		t.Error("nonsense was read")
	}
}

func TestOwnCgroupsCanBeFound(t *testing.T) {
	h, err := cgroup.ReadHost()
	if err != nil {
		t.Fatal(err)
	}
	m, err := cgroup.ReadMembership(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, hierarchy := range h.Hierarchies {
		if _, ok := m.In(hierarchy); !ok {
			t.Errorf("no cgroup of our own in %v", hierarchy)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	for _, table := range mountTables {
		f.Add(table)
	}
	f.Fuzz(func(t *testing.T, table string) {
		h, err := cgroup.ParseHost(strings.NewReader(table))
		if err != nil {
			return
		}
		switch {
		case h.Version == cgroup.None && len(h.Hierarchies) != 0,
			h.Version == cgroup.V1 && len(h.Hierarchies) == 0,
			h.Version == cgroup.V2 && len(h.Hierarchies) != 1:
			t.Errorf("%s with %d hierarchies", h.Version, len(h.Hierarchies))
		}
		for _, hierarchy := range h.Hierarchies {
			if hierarchy.Unified != (h.Version == cgroup.V2) {
				t.Errorf("%+v on %s", hierarchy, h.Version)
			}
			if dir, err := hierarchy.Dir("/../escaped"); err == nil {
				t.Errorf("a path outside of the mount was found: %s", dir)
			}
		}
	})
}

func FuzzParseMembership(f *testing.F) {
	f.Add("12:cpu,cpuacct:/mesos/a:b\n0::/\n")
	f.Add("1:name=systemd:/x (deleted)\n")
	f.Fuzz(func(t *testing.T, table string) {
		m, err := cgroup.ParseMembership(strings.NewReader(table))
		if err != nil {
			return
		}
		h := cgroup.Hierarchy{Mount: "/sys/fs/cgroup", Root: "/"}
		for _, group := range m.Controllers {
			if dir, err := h.Dir(group); err == nil && dir != h.Mount && !strings.HasPrefix(dir, h.Mount+"/") {
				t.Errorf("cgroup %q is at %s", group, dir)
			}
		}
	})
}
