package resource

import (
	"fmt"
	"maps"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"
)

// model is the dumb second implementation: every thousandth and every port of
// every kind is counted by itself.
type model struct {
	scalars map[string]int64
	numbers map[string]map[uint64]bool
}

func modelOf(resources []mesos.Resource) model {
	m := model{map[string]int64{}, map[string]map[uint64]bool{}}
	for _, r := range resources {
		kind := fmt.Sprint(r.Name, r.AllocationInfo.GetRole())
		for _, reservation := range r.Reservations {
			kind += fmt.Sprint(reservation.GetType(), reservation.GetRole())
		}
		if r.GetType() == mesos.SCALAR {
			m.scalars[kind] += int64(r.Scalar.Value*1000 + 0.5)
			continue
		}
		if m.numbers[kind] == nil {
			m.numbers[kind] = map[uint64]bool{}
		}
		for _, given := range r.Ranges.Range {
			for n := given.Begin; n <= given.End; n++ {
				m.numbers[kind][n] = true
			}
		}
	}
	maps.DeleteFunc(m.scalars, func(_ string, v int64) bool { return v == 0 })
	maps.DeleteFunc(m.numbers, func(_ string, v map[uint64]bool) bool { return len(v) == 0 })
	return m
}

func (m model) contains(other model) bool {
	for kind, v := range other.scalars {
		if m.scalars[kind] < v {
			return false
		}
	}
	for kind, set := range other.numbers {
		for n := range set {
			if !m.numbers[kind][n] {
				return false
			}
		}
	}
	return true
}

func (m model) equal(other model) bool { return m.contains(other) && other.contains(m) }

func (m model) minus(other model) model {
	out := model{maps.Clone(m.scalars), map[string]map[uint64]bool{}}
	for kind, v := range other.scalars {
		if out.scalars[kind] -= v; out.scalars[kind] == 0 {
			delete(out.scalars, kind)
		}
	}
	for kind, set := range m.numbers {
		left := map[uint64]bool{}
		for n := range set {
			if !other.numbers[kind][n] {
				left[n] = true
			}
		}
		if len(left) > 0 {
			out.numbers[kind] = left
		}
	}
	return out
}

func drawResources(t *rapid.T, label string) []mesos.Resource {
	resource := rapid.Custom(func(t *rapid.T) mesos.Resource {
		var r mesos.Resource
		if rapid.Bool().Draw(t, "scalar") {
			name := rapid.SampledFrom([]string{"cpus", "mem"}).Draw(t, "name")
			r = scalar(name, float64(rapid.IntRange(0, 50).Draw(t, "thousandths"))/1000)
		} else {
			begin := rapid.Uint64Range(0, 20).Draw(t, "begin")
			r = ports(begin, begin+rapid.Uint64Range(0, 6).Draw(t, "more"))
		}
		switch rapid.IntRange(0, 2).Draw(t, "reserved") {
		case 1:
			r = reserved(r, "ops")
		case 2:
			r = reserved(r, "ops", "ops/web")
		}
		if rapid.Bool().Draw(t, "allocated") {
			r = allocated("ops/web", r)
		}
		return r
	})
	return rapid.SliceOfN(resource, 0, 8).Draw(t, label)
}

func TestArithmeticAgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		listA, listB := drawResources(t, "a"), drawResources(t, "b")
		a, err := FromMesos(listA)
		if err != nil {
			t.Fatal(err)
		}
		b, err := FromMesos(listB)
		if err != nil {
			t.Fatal(err)
		}
		modelA, modelB := modelOf(listA), modelOf(listB)
		before := a.String()

		if got := modelOf(a.ToMesos()); !got.equal(modelA) {
			t.Fatalf("%s stands for %v", a, listA)
		}
		if sum := a.Add(b); !modelOf(sum.ToMesos()).equal(modelOf(append(listA, listB...))) {
			t.Errorf("%s + %s = %s", a, b, sum)
		}
		var total Sum
		total.Add(a)
		total.Add(b)
		if got := total.Total(); !got.Equal(a.Add(b)) {
			t.Errorf("%s and %s come to %s", a, b, got)
		}
		contained := modelA.contains(modelB)
		if a.Contains(b) != contained {
			t.Errorf("%s contains %s: %v", a, b, !contained)
		}
		switch diff, err := a.Subtract(b); {
		case (err == nil) != contained:
			t.Errorf("%s - %s: %v", a, b, err)
		case err == nil && !modelOf(diff.ToMesos()).equal(modelA.minus(modelB)):
			t.Errorf("%s - %s = %s", a, b, diff)
		}
		if sum := a.Add(b); !sum.Contains(b) {
			t.Errorf("%s does not contain %s", sum, b)
		}
		if a.Equal(b) != modelA.equal(modelB) {
			t.Errorf("%s equals %s: %v", a, b, a.Equal(b))
		}
		if a.String() != before {
			t.Errorf("%s became %s", before, a)
		}
	})
}

func TestTakeTakesNoMoreAndNoLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offered, err := FromMesos(drawResources(t, "offered"))
		if err != nil {
			t.Fatal(err)
		}
		ports := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 25), 0, 4, rapid.ID).Draw(t, "ports")
		half := len(ports) / 2
		draw := func(name string) Milli { return Milli(rapid.Int64Range(0, 120).Draw(t, name)) }
		q := []Request{
			{CPUs: draw("cpus"), Mem: draw("mem"), Ports: ports[:half]},
			{CPUs: draw("cpus"), Mem: draw("mem"), Ports: ports[half:]},
		}
		cpus, mem := q[0].CPUs+q[1].CPUs, q[0].Mem+q[1].Mem
		enough := offered.Scalar("cpus") >= cpus && offered.Scalar("mem") >= mem
		for _, port := range ports {
			enough = enough && offered.Ranges("ports").Contains(Ranges{{port, port}})
		}
		got, left, err := offered.Take(q...)
		if (err == nil) != enough {
			t.Fatalf("%+v from %s: %v", q, offered, err)
		}
		if err != nil {
			return
		}
		rest := offered
		for i, of := range q {
			taken, err := FromMesos(got[i])
			if err != nil {
				t.Fatal(err)
			}
			if taken.Scalar("cpus") != of.CPUs || taken.Scalar("mem") != of.Mem || taken.Count() != uint64(len(of.Ports)) {
				t.Errorf("%+v got %s", of, taken)
			}
			if rest, err = rest.Subtract(taken); err != nil {
				t.Fatal(err)
			}
		}
		if !rest.Equal(left) {
			t.Errorf("%s without what was taken left %s, want %s", offered, left, rest)
		}
	})
}
