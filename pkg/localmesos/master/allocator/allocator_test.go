package allocator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

var start = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func cpus(n float64) resource.Resources { return resource.New(resource.Thousandths(n), 0, 0, 0) }

// transcript prints grants, one a line.
func transcript(grants []Grant) string {
	var b strings.Builder
	for _, g := range grants {
		fmt.Fprintf(&b, "%s %s %s %s\n", g.Framework, g.Role, g.Agent, g.Resources.Unallocate())
	}
	return b.String()
}

func expect(t *testing.T, got []Grant, want string) {
	t.Helper()
	if text := transcript(got); strings.TrimSpace(text) != strings.TrimSpace(strings.ReplaceAll(want, "\t", "")) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// give returns grants without refusal.
func give(a *Allocator, grants []Grant) {
	for _, g := range grants {
		a.Recover(g.Framework, g.Agent, g.Resources, 0, start)
	}
}

func TestTheRoleWithTheLeastShareComesFirst(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "rich", Roles: []string{"big"}})
	a.SetFramework(Framework{ID: "poor", Roles: []string{"small"}})
	a.AddAgent(Agent{ID: "s1", Total: cpus(4)})
	a.AddAgent(Agent{ID: "s2", Total: cpus(4)})
	a.Use("rich", "s1", cpus(1).Allocate("big"))
	expect(t, a.Allocate(start), `
		poor small s1 cpus:3
		rich big s2 cpus:4`)
}

func TestWithinARoleFrameworksShare(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f1", Roles: []string{"r"}})
	a.SetFramework(Framework{ID: "f2", Roles: []string{"r"}})
	for _, id := range []string{"s1", "s2", "s3"} {
		a.AddAgent(Agent{ID: id, Total: cpus(2)})
	}
	grants := a.Allocate(start)
	expect(t, grants, `
		f1 r s1 cpus:2
		f2 r s2 cpus:2
		f1 r s3 cpus:2`)
	give(a, grants)
	// Who was offered less often comes first.
	expect(t, a.Allocate(start, "s2"), `f2 r s2 cpus:2`)
}

func TestReservationsGoToTheirRole(t *testing.T) {
	role := "ops"
	static := mesos.Resource_ReservationInfo_STATIC
	total, err := resource.FromMesos([]mesos.Resource{
		{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 1}},
		{Name: "mem", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 64},
			Reservations: []mesos.Resource_ReservationInfo{{Type: &static, Role: &role}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "other", Roles: []string{"a"}})
	a.SetFramework(Framework{ID: "below", Roles: []string{"ops/web"}})
	a.AddAgent(Agent{ID: "s1", Total: total})
	expect(t, a.Allocate(start), `
		other a s1 cpus:1
		below ops/web s1 mem(reservations: [(STATIC,ops)]):64`)
}

func TestFiltersAreOfTheRoleAndAgentAndOfNoMoreThanWasRefused(t *testing.T) {
	a := New(Options{Interval: time.Second})
	a.SetFramework(Framework{ID: "f", Roles: []string{"r1", "r2"}})
	a.AddAgent(Agent{ID: "s1", Total: cpus(4)})
	a.Use("f", "s1", cpus(2).Allocate("r2"))
	first := a.Allocate(start)
	expect(t, first, `f r1 s1 cpus:2`)
	a.Recover("f", "s1", first[0].Resources, 10*time.Second, start)
	expect(t, a.Allocate(start), `f r2 s1 cpus:2`)
	a.Recover("f", "s1", cpus(2).Allocate("r2"), 10*time.Second, start)
	// More than was refused passes.
	a.Recover("f", "s1", cpus(2).Allocate("r2"), 0, start)
	more := a.Allocate(start)
	expect(t, more, `f r1 s1 cpus:4`)
	a.Recover("f", "s1", more[0].Resources, time.Millisecond, start)
	// No filter is shorter than the interval, so role r2 has its turn.
	turn := a.Allocate(start.Add(999 * time.Millisecond))
	expect(t, turn, `f r2 s1 cpus:4`)
}

func TestGPUsAreKept(t *testing.T) {
	a := New(Options{Interval: time.Second, FilterGPUs: true})
	a.SetFramework(Framework{ID: "plain", Roles: []string{"r"}})
	a.AddAgent(Agent{ID: "s1", Total: resource.New(resource.Whole(1), 0, 0, resource.Whole(1))})
	expect(t, a.Allocate(start), ``)
	a.SetFramework(Framework{ID: "ml", Roles: []string{"r"}, GPUs: true})
	expect(t, a.Allocate(start), `ml r s1 cpus:1; gpus:1`)
}

// TestNothingIsLostOrGrantedTwice does random things and looks after each
// whether grants and what is left make up the agents.
func TestNothingIsLostOrGrantedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := New(Options{Interval: time.Second})
		now := start
		frameworks := []string{"f1", "f2", "f3"}
		for i, id := range frameworks {
			a.SetFramework(Framework{ID: id, Roles: []string{"r1", fmt.Sprintf("r%d", i)}})
		}
		totals := map[string]resource.Resources{}
		var out []Grant
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 6).Draw(t, "what") {
			case 0:
				id := fmt.Sprintf("s%d", len(totals))
				totals[id] = cpus(float64(rapid.IntRange(1, 8).Draw(t, "cpus")))
				a.AddAgent(Agent{ID: id, Total: totals[id]})
			case 1, 2:
				now = now.Add(time.Second)
				out = append(out, a.Allocate(now)...)
			case 3:
				if len(out) > 0 {
					i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
					refuse := time.Duration(rapid.IntRange(0, 5).Draw(t, "refuse")) * time.Second
					a.Recover(out[i].Framework, out[i].Agent, out[i].Resources, refuse, now)
					out = append(out[:i], out[i+1:]...)
				}
			case 4:
				a.Suppress(rapid.SampledFrom(frameworks).Draw(t, "framework"), nil)
			case 5:
				a.Revive(rapid.SampledFrom(frameworks).Draw(t, "framework"), nil)
			case 6:
				a.ActivateFramework(rapid.SampledFrom(frameworks).Draw(t, "framework"), rapid.Bool().Draw(t, "active"))
			}
			granted := map[string]resource.Resources{}
			for _, g := range out {
				granted[g.Agent] = granted[g.Agent].Add(g.Resources.Unallocate())
			}
			for id, total := range totals {
				if sum := granted[id].Add(a.agents[id].available); !sum.Equal(total) {
					t.Fatalf("agent %s of %s has granted %s and has %s left", id, total, granted[id], a.agents[id].available)
				}
			}
		}
		// With all given back and revived, everything can be granted again.
		for _, g := range out {
			a.Recover(g.Framework, g.Agent, g.Resources, 0, now)
		}
		for _, id := range frameworks {
			a.ActivateFramework(id, true)
			a.Revive(id, nil)
			for role, s := range a.frameworks[id].shares {
				if s.amounts["cpus"] != 0 {
					t.Errorf("%s still has %s in %s", id, s.amounts["cpus"], role)
				}
			}
		}
		if n := len(a.Allocate(now)); n != len(totals) {
			t.Errorf("%d of %d agents are granted", n, len(totals))
		}
	})
}
