package allocator

import (
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

func milli(n float64) resource.Milli { return resource.Thousandths(n) }

// TestAGuaranteeIsMetFirst: a role that has less than it is guaranteed comes
// before one with a smaller share, and gets no more than its limit of an agent.
func TestAGuaranteeIsMetFirst(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f1", Roles: []string{"a"}})
	a.SetFramework(Framework{ID: "f2", Roles: []string{"z"}})
	a.AddAgent(Agent{ID: "s1", Total: cpus(8)})
	a.SetQuota("z", Quota{Guarantees: Quantities{"cpus": milli(2)}, Limits: Quantities{"cpus": milli(3)}})
	expect(t, a.Allocate(start), `
		f2 z s1 cpus:3
		f1 a s1 cpus:5`)
}

// TestRoomIsHeldForGuarantees: what a role is guaranteed is kept free for it
// even while it has nobody to take it.
func TestRoomIsHeldForGuarantees(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f1", Roles: []string{"a"}})
	a.AddAgent(Agent{ID: "s1", Total: cpus(4)})
	a.AddAgent(Agent{ID: "s2", Total: cpus(4)})
	a.SetQuota("z", Quota{Guarantees: Quantities{"cpus": milli(3)}})
	expect(t, a.Allocate(start), `
		f1 a s1 cpus:4
		f1 a s2 cpus:1`)

	// Its framework comes, and takes it.
	a.SetFramework(Framework{ID: "f2", Roles: []string{"z"}})
	expect(t, a.Allocate(start), `f2 z s2 cpus:3`)
}

// TestALimitHoldsForPartsOfARole, and what it does not name is not limited.
func TestALimitHoldsForPartsOfARole(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f1", Roles: []string{"a/b"}})
	a.SetFramework(Framework{ID: "f2", Roles: []string{"a"}})
	a.AddAgent(Agent{ID: "s1", Total: resource.New(milli(8), milli(1000), 0, 0)})
	a.SetQuota("a", Quota{Limits: Quantities{"cpus": milli(5)}})
	a.Use("f1", "s1", cpus(2).Allocate("a/b"))
	if got := a.Consumed("a")["cpus"]; got != milli(2) {
		t.Errorf("a has consumed %s, want 2", got)
	}
	expect(t, a.Allocate(start), `f2 a s1 cpus:3; mem:1000`)

	a.SetQuota("a", Quota{})
	expect(t, a.Allocate(start), `f1 a/b s1 cpus:3`)
}

func TestAWeightDividesAShare(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f1", Roles: []string{"light"}})
	a.SetFramework(Framework{ID: "f2", Roles: []string{"weighty"}})
	a.AddAgent(Agent{ID: "s1", Total: cpus(8)})
	a.AddAgent(Agent{ID: "s2", Total: cpus(8)})
	a.Use("f1", "s1", cpus(2).Allocate("light"))
	a.Use("f2", "s1", cpus(4).Allocate("weighty"))
	a.SetWeight("weighty", 3)
	expect(t, a.Allocate(start, "s2"), `f2 weighty s2 cpus:8`)
}
