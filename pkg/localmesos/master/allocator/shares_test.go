package allocator

import (
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// sharing is an allocator with an agent of 100 cpus of which roles have some.
func sharing(has map[string]float64) *Allocator {
	a := New(Options{Interval: time.Second})
	for _, role := range []string{"a", "a/b", "a/c", "a/c/d", "e"} {
		if _, ok := has[role]; ok {
			a.SetFramework(Framework{ID: "of " + role, Roles: []string{role}})
		}
	}
	a.AddAgent(Agent{ID: "s1", Total: cpus(100)})
	for role, n := range has {
		if n > 0 {
			a.Use("of "+role, "s1", cpus(n).Allocate(role))
		}
	}
	return a
}

func TestRolesShareWithinTheRoleAboveThem(t *testing.T) {
	for _, tt := range []struct {
		name string
		has  map[string]float64
		want []string
	}{
		{"flat roles by their shares", map[string]float64{"a": 3, "e": 2}, []string{"e", "a"}},
		{"what is within a role counts for it", map[string]float64{"a/b": 6, "a/c": 0, "e": 5}, []string{"e", "a/c", "a/b"}},
		{"all of the role with the least comes first", map[string]float64{"a/b": 3, "a/c": 1, "e": 5}, []string{"a/c", "a/b", "e"}},
		{"a role takes part among those within it", map[string]float64{"a": 2, "a/b": 1, "a/c": 3, "e": 7}, []string{"a/b", "a", "a/c", "e"}},
		{"at every level", map[string]float64{"a/b": 2, "a/c": 2, "a/c/d": 1, "e": 9}, []string{"a/b", "a/c/d", "a/c", "e"}},
		{"by how often they were granted, then by name", map[string]float64{"a": 0, "e": 0}, []string{"a", "e"}},
	} {
		if got := sharing(tt.has).rolesByShare(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v come as %v, want %v", tt.name, tt.has, got, tt.want)
		}
	}
}

func TestWeightsCountAtTheirLevel(t *testing.T) {
	a := sharing(map[string]float64{"a/b": 6, "a/c": 4, "e": 4})
	a.SetWeight("a", 3)
	a.SetWeight("a/b", 2)
	if got, want := a.rolesByShare(), []string{"a/b", "a/c", "e"}; !slices.Equal(got, want) {
		t.Errorf("they come as %v, want %v", got, want)
	}
}

func TestARoleThatComesAgainBeginsAnew(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f1", Roles: []string{"a/b"}})
	a.AddAgent(Agent{ID: "s1", Total: cpus(1)})
	give(a, a.Allocate(start))
	a.RemoveFramework("f1")
	if len(a.roles)+len(a.trees) > 0 {
		t.Errorf("there is still %v, %v", a.roles, a.trees)
	}
	a.SetFramework(Framework{ID: "f2", Roles: []string{"a/b"}})
	a.SetFramework(Framework{ID: "f3", Roles: []string{"c"}})
	expect(t, a.Allocate(start), `f2 a/b s1 cpus:1`)
}

func TestExcludedResourcesDoNotCountInShares(t *testing.T) {
	a := New(Options{Interval: time.Second, FairSharingExcluded: []string{"gpus"}})
	a.SetFramework(Framework{ID: "f1", Roles: []string{"a"}, GPUs: true})
	a.SetFramework(Framework{ID: "f2", Roles: []string{"b"}, GPUs: true})
	a.AddAgent(Agent{ID: "s1", Total: resource.New(resource.Whole(8), 0, 0, resource.Whole(1))})
	a.Use("f1", "s1", resource.New(0, 0, 0, resource.Whole(1)).Allocate("a"))
	a.Use("f2", "s1", cpus(1).Allocate("b"))
	if got := a.rolesByShare(); got[0] != "a" {
		t.Errorf("they come as %v", got)
	}
}

func TestOnlyAgentsOfTheWhitelistAreOffered(t *testing.T) {
	a := New(Options{Interval: time.Second, Whitelist: []string{"good"}})
	a.SetFramework(Framework{ID: "f", Roles: []string{"r"}})
	a.AddAgent(Agent{ID: "s1", Hostname: "bad", Total: cpus(1)})
	a.AddAgent(Agent{ID: "s2", Hostname: "good", Total: cpus(1)})
	expect(t, a.Allocate(start), `f r s2 cpus:1`)
}

func TestAgentsOfOtherRegionsAreForThoseWhoKnowRegions(t *testing.T) {
	in := func(region string) *mesos.DomainInfo {
		return &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: region}}}
	}
	a := New(Options{Interval: time.Second, Region: "here"})
	a.SetFramework(Framework{ID: "old", Roles: []string{"r"}})
	a.AddAgent(Agent{ID: "s1", Domain: in("there"), Total: cpus(1)})
	a.AddAgent(Agent{ID: "s2", Domain: in("here"), Total: cpus(1)})
	a.AddAgent(Agent{ID: "s3", Total: cpus(1)})
	expect(t, a.Allocate(start), `
		old r s2 cpus:1
		old r s3 cpus:1`)
	a.SetFramework(Framework{ID: "new", Roles: []string{"r"}, Regions: true})
	expect(t, a.Allocate(start), `new r s1 cpus:1`)
}

func TestAnAgentWithOtherAttributesIsOfferedAnew(t *testing.T) {
	rack := func(name string) []mesos.Attribute {
		return []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: name}}}
	}
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f", Roles: []string{"r"}})
	a.AddAgent(Agent{ID: "s1", Attributes: rack("1"), Total: cpus(1)})
	refuse := func() {
		for _, g := range a.Allocate(start) {
			a.Recover(g.Framework, g.Agent, g.Resources, time.Hour, start)
		}
	}
	refuse()
	a.UpdateAgent(Agent{ID: "s1", Attributes: rack("1"), Total: cpus(1)})
	expect(t, a.Allocate(start), ``)
	a.UpdateAgent(Agent{ID: "s1", Attributes: rack("2"), Total: cpus(1)})
	expect(t, a.Allocate(start), `f r s1 cpus:1`)
}

func TestWhatIsGuaranteedAndTheRestAreOneOffer(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f", Roles: []string{"r"}})
	a.SetQuota("r", Quota{Guarantees: Quantities{"cpus": 1000}})
	a.AddAgent(Agent{ID: "s1", Total: cpus(3)})
	a.AddAgent(Agent{ID: "s2", Total: cpus(3)})
	expect(t, a.Allocate(start), `
		f r s1 cpus:3
		f r s2 cpus:3`)
}
