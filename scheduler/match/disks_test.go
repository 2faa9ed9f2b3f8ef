package match

import (
	"strings"
	"testing"

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
			"2 agents seen, 2 lack path disk (need 40, nearest a has 20)"},
		{"a mount is taken whole, and the smallest", map[string][]Disk{"a": {mount(100), mount(50)}, "b": {mount(10)}}, []Disk{mount(40)}, 3, "a a",
			"2 agents seen, 2 lack mount disk (need 40, nearest b has 10)"},
		{"a path is no mount", map[string][]Disk{"a": {path(100)}, "b": {path(100)}}, []Disk{mount(40)}, 1, "",
			"2 agents seen, 2 lack mount disk (need 40, nearest a has 0)"},
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
