package match

import (
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// TestDisks: parts of a path disk go to many, a mount disk to one, and the smallest
// that suffices; what is lacking is told with the most that there is of it.
func TestDisks(t *testing.T) {
	path := func(mib int64) Disk { return Disk{resource.PathDisk, resource.Whole(mib)} }
	mount := func(mib int64) Disk { return Disk{resource.MountDisk, resource.Whole(mib)} }
	for _, c := range []struct {
		name   string
		disks  map[string][]Disk
		need   []Disk
		count  int
		placed string
		left   string // of what is placed in vain, why
	}{
		{"parts of a path", map[string][]Disk{"a": {path(100)}, "b": nil}, []Disk{path(40)}, 3, "a a",
			"2 agents seen, 2 lack path disk (need 40, at most 20 on a)"},
		{"a mount is taken whole, and the smallest", map[string][]Disk{"a": {mount(100), mount(50)}, "b": {mount(10)}}, []Disk{mount(40)}, 3, "a a",
			"2 agents seen, 2 lack mount disk (need 40, at most 10 on b)"},
		{"a path is no mount", map[string][]Disk{"a": {path(100)}, "b": {path(100)}}, []Disk{mount(40)}, 1, "",
			"2 agents seen, 2 lack mount disk (need 40, at most 0 on a)"},
		{"all or nothing", map[string][]Disk{"a": {mount(100), path(10)}, "b": {mount(100), path(20)}}, []Disk{mount(40), path(20)}, 1, "b", ""},
		{"two of a kind", map[string][]Disk{"a": {mount(100)}, "b": {mount(10), mount(100)}}, []Disk{mount(50), mount(5)}, 1, "b", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			agents := []Agent{agentAt("a", "", 8, 8000), agentAt("b", "", 8, 8000)}
			for i := range agents {
				agents[i].Disks = c.disks[agents[i].Place.Hostname]
			}
			r := Request{Need: Need{Amount: Amount{CPUs: 1000}, Disks: c.need}, Count: c.count}
			var placed []string
			for _, p := range Match(agents, []Request{r}) {
				placed = append(placed, agents[p.Agent].Place.Hostname)
			}
			if got := strings.Join(placed, " "); got != c.placed {
				t.Errorf("placed on %q, want %q", got, c.placed)
			}
			if len(placed) == c.count {
				return
			}
			if got := Summary(agents, &r); got != c.left {
				t.Errorf("the rest waits because %q, want %q", got, c.left)
			}
			for i := range agents {
				if len(Explain(&agents[i], &r)) != 1 {
					t.Errorf("agent %s: %v", agents[i].Place.Hostname, Explain(&agents[i], &r))
				}
			}
		})
	}
}

// TestPluginDisks: disk of storage plugins is told of where disk is lacking, and never
// taken for any.
func TestPluginDisks(t *testing.T) {
	profile := "fast"
	plugin := func(r mesos.Resource) mesos.Resource {
		r.Name, r.Type, r.Scalar = "disk", mesos.SCALAR.Enum(), &mesos.Value_Scalar{Value: 500}
		return r
	}
	source := func(of mesos.Resource_DiskInfo_Source) *mesos.Resource_DiskInfo {
		return &mesos.Resource_DiskInfo{Source: &of}
	}
	for name, r := range map[string]mesos.Resource{
		"of a resource provider": plugin(mesos.Resource{ProviderID: &mesos.ResourceProviderID{Value: "p1"}}),
		"raw":                    plugin(mesos.Resource{Disk: source(mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_RAW})}),
		"with a profile": plugin(mesos.Resource{Disk: source(mesos.Resource_DiskInfo_Source{
			Type: mesos.Resource_DiskInfo_Source_MOUNT, Profile: &profile,
		})}),
	} {
		t.Run(name, func(t *testing.T) {
			a := agentAt("a", "", 8, 8000)
			a.Free.Disk = resource.Whole(50)
			a.Offer([]mesos.Resource{r})
			for _, need := range []Need{
				{Amount: Amount{Disk: resource.Whole(100)}},
				{Disks: []Disk{{resource.MountDisk, resource.Whole(100)}}},
			} {
				r := Request{Need: need, Count: 1}
				if got, want := Summary([]Agent{a}, &r), ", 1 have disk of storage plugins, which is not used"; !strings.HasSuffix(got, want) {
					t.Errorf("it waits because %q, want %q at the end", got, want)
				}
				lacks := Explain(&a, &r)
				if len(lacks) != 1 || !strings.HasSuffix(lacks[0].Have, ", and 500 of storage plugins, which are not used") {
					t.Errorf("against it stands %v", lacks)
				}
			}
			small := Request{Need: Need{Amount: Amount{CPUs: 9000, Disk: resource.Whole(10)}}, Count: 1}
			if got := Summary([]Agent{a}, &small); strings.Contains(got, "plugins") {
				t.Errorf("it waits because %q", got)
			}
		})
	}
}
