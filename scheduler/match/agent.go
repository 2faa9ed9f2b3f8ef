package match

import (
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/resource"
)

// Amount is an amount of the scalar resources that groups are placed by.
type Amount struct {
	CPUs, Mem, Disk, GPUs resource.Milli
}

// Plus returns the sum.
func (a Amount) Plus(b Amount) Amount {
	return Amount{a.CPUs + b.CPUs, a.Mem + b.Mem, a.Disk + b.Disk, a.GPUs + b.GPUs}
}

// Minus returns the difference, which may be below zero.
func (a Amount) Minus(b Amount) Amount {
	return Amount{a.CPUs - b.CPUs, a.Mem - b.Mem, a.Disk - b.Disk, a.GPUs - b.GPUs}
}

func (a Amount) holds(b Amount) bool {
	return a.CPUs >= b.CPUs && a.Mem >= b.Mem && a.Disk >= b.Disk && a.GPUs >= b.GPUs
}

func (a Amount) max(b Amount) Amount {
	return Amount{max(a.CPUs, b.CPUs), max(a.Mem, b.Mem), max(a.Disk, b.Disk), max(a.GPUs, b.GPUs)}
}

// Place is where an agent is and what is said of it: what constraints judge.
type Place struct {
	Hostname, Region, Zone string
	Attributes             []Attribute
}

// Attribute is an attribute of an agent, its value in text: a text as it is, a
// scalar without needless digits, ranges as [1-5,7-9], a set as {a,b}.
type Attribute struct {
	Name, Value string
}

// Value returns the value of an attribute, or of @hostname, @region or @zone,
// and whether the agent has it.
func (p *Place) Value(name string) (string, bool) {
	switch name {
	case "@hostname":
		return p.Hostname, p.Hostname != ""
	case "@region":
		return p.Region, p.Region != ""
	case "@zone":
		return p.Zone, p.Zone != ""
	}
	for i := range p.Attributes {
		if p.Attributes[i].Name == name {
			return p.Attributes[i].Value, true
		}
	}
	return "", false
}

// PlaceOf returns what an offer says of its agent.
func PlaceOf(o *mesos.Offer) Place {
	p := Place{Hostname: o.Hostname}
	if d := o.Domain.GetFaultDomain(); d != nil {
		p.Region, p.Zone = d.Region.Name, d.Zone.Name
	}
	if len(o.Attributes) > 0 {
		p.Attributes = make([]Attribute, len(o.Attributes))
		for i := range o.Attributes {
			p.Attributes[i] = Attribute{o.Attributes[i].Name, attributeText(&o.Attributes[i])}
		}
	}
	return p
}

func attributeText(a *mesos.Attribute) string {
	switch a.Type {
	case mesos.TEXT:
		return a.Text.GetValue()
	case mesos.SCALAR:
		return resource.Thousandths(a.Scalar.GetValue()).String()
	case mesos.RANGES:
		parts := make([]string, 0, len(a.Ranges.GetRange()))
		for _, r := range a.Ranges.GetRange() {
			parts = append(parts, strconv.FormatUint(r.Begin, 10)+"-"+strconv.FormatUint(r.End, 10))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case mesos.SET:
		items := slices.Clone(a.Set.GetItem())
		slices.Sort(items)
		return "{" + strings.Join(items, ",") + "}"
	}
	return ""
}

// Agent is what one agent offers to one role, all its offers taken together.
type Agent struct {
	Place Place
	Free  Amount
	Ports resource.Ranges
	Disks []Disk // beside the agent's own
	// Plugins is the disk of storage plugins there, of which nothing is made.
	Plugins resource.Milli
	// Refused says why nothing may be placed there, whatever fits.
	Refused string
}

// Offer adds what an offer brings to the agent: resources that a launch may simply
// take, not volumes, shared or revocable ones; and the disks that volumes can be
// made of.
func (a *Agent) Offer(resources []mesos.Resource) {
	for i := range resources {
		r := &resources[i]
		if d, ok := diskOf(r); ok {
			a.Disks = append(a.Disks, d)
		}
		if r.Disk != nil || r.ProviderID != nil || r.Revocable != nil || r.Shared != nil {
			if resource.PluginDisk(r) {
				a.Plugins += resource.Thousandths(r.Scalar.GetValue())
			}
			continue
		}
		switch r.Name {
		case "cpus":
			a.Free.CPUs += resource.Thousandths(r.Scalar.GetValue())
		case "mem":
			a.Free.Mem += resource.Thousandths(r.Scalar.GetValue())
		case "disk":
			a.Free.Disk += resource.Thousandths(r.Scalar.GetValue())
		case "gpus":
			a.Free.GPUs += resource.Thousandths(r.Scalar.GetValue())
		case "ports":
			for _, given := range r.Ranges.GetRange() {
				a.Ports = insert(a.Ports, resource.Range{Begin: given.Begin, End: given.End})
			}
		}
	}
}
