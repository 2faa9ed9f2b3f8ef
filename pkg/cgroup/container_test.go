package cgroup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tandem-mesos/tandem/pkg/cgroup"
)

const containerID = "5b6e0c1a-3f04-4a4f-9c43-6c3d7a1f2b10"

// v1Container makes a container as an agent does, and opens it as its
// executor would.
func v1Container(t *testing.T, controllers ...string) (*cgroup.Container, *cgroup.Group) {
	t.Helper()
	h := v1Host(t)
	x := newGroup(t, h, containerID)
	self := cgroup.Membership{Controllers: map[string]string{"name=systemd": "/elsewhere/" + containerID}}
	for _, c := range controllers {
		self.Controllers[c] = x.String()
	}
	for _, c := range []string{"devices", "blkio", "cpuset"} {
		self.Controllers[c] = "/system.slice/mesos-agent.service"
	}
	c, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: h, Self: self, ID: containerID})
	if err != nil {
		t.Fatal(err)
	}
	return c, x
}

func TestTasksGetCgroupsWhereTheAgentMadeOne(t *testing.T) {
	c, x := v1Container(t, "cpu", "memory", "pids")
	g, err := c.Create("hello.0.1.web", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Remove(t.Context()) })
	var got []string
	for _, d := range g.Dirs() {
		got = append(got, d.Controllers...)
	}
	if want := []string{"cpu", "memory", "pids"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("controllers = %v, want %v", got, want)
	}
	if want := filepath.Join(x.String(), "task-hello.0.1.web"); g.String() != want {
		t.Errorf("path = %s, want %s", g, want)
	}
	for _, d := range x.Dirs() {
		_, err := os.Stat(filepath.Join(d.Path, "task-hello.0.1.web"))
		if made := err == nil; made != c.Has(d.Controllers[0]) {
			t.Errorf("made in %v: %v", d.Controllers, made)
		}
	}
	if _, err := c.Create("hello.0.1.web", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second group for the same task = %v, want ErrExist", err)
	}
	if _, err := os.Stat(g.Dirs()[0].Path); err != nil {
		t.Errorf("the refusal took the first group away: %v", err)
	}
}

func TestBoundsSwapWhereTheKernelHasAFileForIt(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		var c *cgroup.Container
		file := "memory.memsw.limit_in_bytes"
		if h.Version == cgroup.V1 {
			c, _ = v1Container(t, "memory")
		} else {
			c, _ = chainOf(t, 1)
			file = "memory.swap.max"
		}
		g, err := c.Create("hello.0.1.web", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Remove(t.Context()) })
		_, err = os.Stat(filepath.Join(g.Dirs()[0].Path, file))
		if got := c.BoundsSwap(); got != (err == nil) {
			t.Errorf("bounds swap: %v, and the file: %v", got, err)
		}
	})
}

func TestTaskNamesNeverMeetTheKernelsOrTheAgents(t *testing.T) {
	c, _ := v1Container(t, "cpu", "memory")
	for _, task := range []string{"mesos", "leaf", "memory.max", "tasks", "..", "cgroup.procs", "a b\nc", strings.Repeat("é", 255)} {
		g, err := c.Create(task, nil)
		if err != nil {
			t.Errorf("%.20q: %v", task, err)
			continue
		}
		if err := g.Remove(t.Context()); err != nil {
			t.Errorf("%.20q: %v", task, err)
		}
	}
}

func TestQuotaAboveTheContainersIsExplained(t *testing.T) {
	c, x := v1Container(t, "cpu")
	cpus := func(quota int64) *specs.LinuxResources {
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: &quota, Period: ptr(uint64(100_000))}}
	}
	if _, err := x.Limit(cpus(60_000), cgroup.Require); err != nil {
		t.Fatal(err)
	}
	g, err := c.Create("hello.0.1.web", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Remove(t.Context()) })
	_, err = g.Limit(cpus(70_000), cgroup.Prefer)
	if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "limited to 60000 us in 100000 us") {
		t.Errorf("err = %v", err)
	}
}

func TestNoContainer(t *testing.T) {
	hybrid := hostOf(t, "hybrid")
	unified := hostOf(t, "unified")
	in := func(group string) cgroup.Membership {
		return cgroup.Membership{Controllers: map[string]string{"cpu": group, "memory": group}, Unified: group}
	}
	for _, c := range []struct {
		name, want string
		options    cgroup.ContainerOptions
	}{
		{"no cgroups at all", "no cgroup file system", cgroup.ContainerOptions{ID: containerID}},
		{"no container id", "named no container", cgroup.ContainerOptions{Host: hybrid, Self: in("/mesos/" + containerID)}},
		{"another's id", "isolates without cgroups", cgroup.ContainerOptions{Host: hybrid, Self: in("/mesos/other"), ID: containerID}},
		{"the id within a name", "isolates without cgroups", cgroup.ContainerOptions{Host: hybrid, Self: in("/mesos/x" + containerID), ID: containerID}},
		{"the agent's own cgroup on v2", "isolates without cgroups", cgroup.ContainerOptions{Host: unified, Self: in("/system.slice/mesos-agent.service"), ID: containerID}},
		{"v2 without a leaf", "isolates without cgroups", cgroup.ContainerOptions{Host: unified, Self: in("/mesos/" + containerID), ID: containerID}},
		{"an id that is a path", "not the id", cgroup.ContainerOptions{Host: unified, Self: in("/mesos/a/leaf"), ID: "../a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := cgroup.OpenContainer(c.options)
			var none *cgroup.NoContainerError
			if !errors.As(err, &none) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want a NoContainerError about %q", err, c.want)
			}
		})
	}
}

// chainOf makes a v2 container in the way of an agent.
func chainOf(t *testing.T, depth int) (*cgroup.Container, *cgroup.Group) {
	t.Helper()
	h := v2Host(t)
	all := append(slices.Clone(controllers), "hugetlb") // which is all that a hybrid machine may have
	x, err := h.Create("/tandem-test/"+containerID, all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Remove(t.Context()); err != nil {
			t.Error(err)
		}
		_ = syscall.Rmdir(filepath.Dir(x.Dirs()[0].Path))
	})
	home, err := h.Create("/tandem-test/"+containerID+"/leaf", all...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: h, Self: cgroup.Membership{Unified: home.String()}, ID: containerID, Depth: depth})
	if err != nil {
		t.Fatal(err)
	}
	return c, x
}

func TestChainHoldsOnlyNamesThatAnAgentRecovers(t *testing.T) {
	c, x := chainOf(t, 3)
	dir := x.Dirs()[0].Path
	create := func(task string) *cgroup.Group {
		t.Helper()
		g, err := c.Create(task, nil)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	tree := func() string {
		var names []string
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && p != dir {
				rel, _ := filepath.Rel(dir, p)
				names = append(names, rel)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, " ")
	}
	want := func(when, want string) {
		t.Helper()
		if got := tree(); got != want {
			t.Errorf("%s: %s\nwant %s", when, got, want)
		}
	}
	first, second, third := create("a"), create("b"), create("c")
	want("three tasks", "leaf mesos mesos/leaf mesos/mesos mesos/mesos/leaf mesos/mesos/mesos mesos/mesos/mesos/leaf")
	var depth *cgroup.DepthError
	if _, err := c.Create("d", nil); !errors.As(err, &depth) {
		t.Errorf("a task too many = %v, want a DepthError", err)
	}
	remove := func(g *cgroup.Group) {
		t.Helper()
		if err := g.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	remove(second)
	want("the second has gone", "leaf mesos mesos/leaf mesos/mesos mesos/mesos/mesos mesos/mesos/mesos/leaf")
	fourth := create("d")
	if fourth.String() != second.String() {
		t.Errorf("the lowest free level is %s, the new task is in %s", second, fourth)
	}
	remove(second) // again: it must not take the newcomer's
	want("again", "leaf mesos mesos/leaf mesos/mesos mesos/mesos/leaf mesos/mesos/mesos mesos/mesos/mesos/leaf")
	remove(fourth)
	remove(third)
	want("the end has gone", "leaf mesos mesos/leaf")
	remove(first)
	want("all have gone", "leaf")
}

func TestChainWeighsWhatHangsOnIt(t *testing.T) {
	c, x := chainOf(t, 3)
	need(t, x, "cpu")
	shares := func(n uint64) *specs.LinuxResources {
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &n}}
	}
	links := func() string {
		var weights []string
		for dir := filepath.Join(x.Dirs()[0].Path, "mesos"); ; dir = filepath.Join(dir, "mesos") {
			data, err := os.ReadFile(filepath.Join(dir, "cpu.weight"))
			if err != nil {
				return strings.Join(weights, " ")
			}
			weights = append(weights, strings.TrimSpace(string(data)))
		}
	}
	var tasks []*cgroup.Group
	for i, n := range []uint64{1024, 2048, 512} {
		g, err := c.Create(string(rune('a'+i)), shares(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Limit(shares(n), cgroup.Require); err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, g)
	}
	if got, want := links(), "350 250 50"; got != want {
		t.Errorf("the links weigh %s, want %s", got, want)
	}
	if got := read(t, tasks[1], "cpu", "cpu.weight"); got != "200" {
		t.Errorf("the second task weighs %s", got)
	}
	for _, step := range []struct {
		task int
		want string
	}{{1, "150 50 50"}, {2, "100"}, {0, ""}} {
		if err := tasks[step.task].Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := links(); got != step.want {
			t.Errorf("without task %d the links weigh %q, want %q", step.task, got, step.want)
		}
	}
}

// An agent destroys a container that it sees running out of memory, and all of
// its tasks.
func TestTaskOutOfMemoryIsNotItsContainers(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		var c *cgroup.Container
		var x *cgroup.Group
		if h.Version == cgroup.V1 {
			c, x = v1Container(t, "cpu", "memory", "pids", "freezer")
		} else {
			c, x = chainOf(t, 0)
		}
		need(t, x, "memory")
		if _, err := x.Limit(memory(256<<20), cgroup.Require); err != nil {
			t.Fatal(err)
		}
		limits := memory(32 << 20)
		g, err := c.Create("hello.0.1.hungry", limits)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = errors.Join(g.Kill(context.Background()), g.Remove(context.Background())) })
		if _, err := g.Limit(limits, cgroup.Require); err != nil {
			t.Fatal(err)
		}
		cmd, release := parked(t, "exec tail /dev/zero")
		if err := g.Add(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
		release()
		if c.SoftMemory() {
			// Nobody kills it but who runs it.
			until(t, "the limit", func() bool {
				return !strings.Contains("\n"+read(t, g, "memory", "memory.events"), "\nhigh 0\n")
			})
			if u, err := g.Usage(); err != nil || u.Memory.Limit != 32<<20 {
				t.Errorf("Memory = %+v, %v", u.Memory, err)
			}
			if err := g.Kill(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait()
		if n, err := g.OOMKills(); (n > 0) == c.SoftMemory() || err != nil {
			t.Errorf("OOMKills = %d, %v; soft memory %v", n, err, c.SoftMemory())
		}
		if n, err := x.OOMKills(); n != 0 || err != nil {
			t.Errorf("the container's OOMKills = %d, %v", n, err)
		}
		if h.Version == cgroup.V2 {
			if events := read(t, x, "memory", "memory.events"); !strings.Contains(events, "\noom 0\n") {
				t.Errorf("an agent would destroy the container over\n%s", events)
			}
		}
	})
}

func TestLeftoverLeafKeepsItsPlace(t *testing.T) {
	c, x := chainOf(t, 8)
	if err := os.MkdirAll(filepath.Join(x.Dirs()[0].Path, "mesos", "leaf"), 0o755); err != nil {
		t.Fatal(err)
	}
	g, err := c.Create("a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := "mesos/mesos/leaf"; !strings.HasSuffix(g.String(), want) {
		t.Errorf("group = %s, want …%s", g, want)
	}
}

func TestDelegatedSubtreeIsFlat(t *testing.T) {
	onEach(t, func(t *testing.T, h cgroup.Host) {
		s := delegate(t, h, "/tandem-test-subtree")
		o := cgroup.ContainerOptions{Host: h, ID: containerID, Subtree: s.String()}
		c, err := cgroup.OpenContainer(o)
		if err != nil {
			t.Fatal(err)
		}
		g, err := c.Create("hello.0.1.web", nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := "/tandem-test-subtree/" + containerID + "/task-hello.0.1.web"; g.String() != want {
			t.Errorf("group = %s, want %s", g, want)
		}
		if c.SoftMemory() {
			t.Error("a subtree that no agent watches needs no soft limits")
		}
		if dirs := c.Delegated(); len(dirs) != len(s.Dirs()) {
			t.Errorf("it has %v, of a subtree in %v", dirs, s.Dirs())
		}
		// The program that takes its place has what it had.
		o.Held = c.Held()
		next, err := cgroup.OpenContainer(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := next.Adopt(c.State(g)); err != nil || next.Held() != c.Held() || len(next.Delegated()) != len(c.Delegated()) {
			t.Errorf("the next program has %v by descriptor %d: %v", next.Delegated(), next.Held(), err)
		}
		if err := errors.Join(g.Remove(t.Context()), c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
		for _, d := range s.Dirs() {
			if _, err := os.Stat(filepath.Join(d.Path, containerID)); err == nil {
				t.Errorf("%s is left in %s", containerID, d.Path)
			}
		}
	})
}

// Where the agent has made a cgroup that one counts, and a subtree that nobody has made is
// told of.
func TestWhereASubtreeIsNotUsed(t *testing.T) {
	h := v1Host(t)
	_, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: h, ID: containerID, Subtree: "/nobody-has-made-this"})
	if err == nil || !strings.Contains(err.Error(), "the subtree /nobody-has-made-this cannot be used: it is in none of the v1 hierarchies") {
		t.Errorf("of one that is not there: %v", err)
	}
	s, own := delegate(t, h, "/tandem-test-unused"), newGroup(t, h, containerID)
	self := cgroup.Membership{Controllers: map[string]string{}}
	for _, c := range controllers {
		self.Controllers[c] = own.String()
	}
	c, err := cgroup.OpenContainer(cgroup.ContainerOptions{Host: h, Self: self, ID: containerID, Subtree: s.String()})
	if err != nil || c.String() != own.String() || c.Delegated() != nil {
		t.Errorf("it uses %v, %v", c, err)
	}
}
