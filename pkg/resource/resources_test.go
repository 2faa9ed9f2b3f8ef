package resource

import (
	"errors"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func scalar(name string, value float64) mesos.Resource {
	return mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: value}}
}

func ports(bounds ...uint64) mesos.Resource {
	ranges := &mesos.Value_Ranges{}
	for i := 0; i < len(bounds); i += 2 {
		ranges.Range = append(ranges.Range, mesos.Value_Range{Begin: bounds[i], End: bounds[i+1]})
	}
	return mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: ranges}
}

func allocated(role string, r mesos.Resource) mesos.Resource {
	r.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
	return r
}

func reserved(r mesos.Resource, roles ...string) mesos.Resource {
	for i := range roles {
		typ := mesos.Resource_ReservationInfo_DYNAMIC
		if i == 0 {
			typ = mesos.Resource_ReservationInfo_STATIC
		}
		r.Reservations = append(r.Reservations, mesos.Resource_ReservationInfo{Type: &typ, Role: &roles[i]})
	}
	return r
}

func volume(id string, size float64, role string) mesos.Resource {
	r := reserved(scalar("disk", size), role)
	r.Disk = &mesos.Resource_DiskInfo{
		Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id},
		Volume:      &mesos.Volume{ContainerPath: "data", Mode: mesos.RW.Enum()},
	}
	return r
}

func from(t testing.TB, resources ...mesos.Resource) Resources {
	t.Helper()
	r, err := FromMesos(resources)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMilli(t *testing.T) {
	for value, want := range map[float64]string{0.1: "0.1", 8: "8", -1: "-1", 9.25: "9.25", 0.0004: "0", 0.0005: "0.001", 19968: "19968", -0.5: "-0.5"} {
		if got := Thousandths(value).String(); got != want {
			t.Errorf("%v: got %s, want %s", value, got, want)
		}
	}
	sum := Milli(0)
	for range 10 {
		sum += Thousandths(0.1)
	}
	if sum != Whole(1) {
		t.Errorf("ten tenths are %s", sum)
	}
}

func TestStringIsMesosOwn(t *testing.T) {
	offered := from(t, allocated("example", ports(31000, 32000)), allocated("example", scalar("cpus", 7.8)))
	if got, want := offered.String(), "ports(allocated: example):[31000-32000]; cpus(allocated: example):7.8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := (Resources{}).String(); got != "{}" {
		t.Errorf("nothing is %s", got)
	}
	shared := volume("v1", 64, "ops")
	shared.Shared = &mesos.Resource_SharedInfo{}
	for want, r := range map[string]mesos.Resource{
		"cpus(reservations: [(STATIC,a),(DYNAMIC,a/b)]):2":          reserved(scalar("cpus", 2), "a", "a/b"),
		"disk(reservations: [(STATIC,ops)])[v1:data]:64":            volume("v1", 64, "ops"),
		"disk(reservations: [(STATIC,ops)])[v1:data]<SHARED>:64":    shared,
		"cpus(allocated: example){REV}:1":                           allocated("example", mesos.Resource{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 1}, Revocable: &mesos.Resource_RevocableInfo{}}),
		"ports:[31000-31005, 31010-31010]":                          ports(31000, 31005, 31010, 31010),
		"cpus(allocated: example):-1":                               allocated("example", scalar("cpus", -1)),
		"zones:{a, b}":                                              {Name: "zones", Type: mesos.SET.Enum(), Set: &mesos.Value_Set{Item: []string{"a", "b"}}},
		"disk[MOUNT:/mnt/1]:100":                                    {Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 100}, Disk: &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_MOUNT, Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: new("/mnt/1")}}}},
		"mem(reservations: [(DYNAMIC,ops,fw-a,{rack: r1, ssd})]):8": {Name: "mem", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 8}, Role: new("ops"), Reservation: &mesos.Resource_ReservationInfo{Principal: new("fw-a"), Labels: &mesos.Labels{Labels: []mesos.Label{{Key: "rack", Value: new("r1")}, {Key: "ssd"}}}}},
	} {
		if got := Format(&r); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFromMesosRefusesWhatAMasterRefuses(t *testing.T) {
	for want, r := range map[string]mesos.Resource{
		"Resource 'cpus(allocated: example):-1' is invalid: Invalid scalar resource: value <= 0":                                                 allocated("example", scalar("cpus", -1)),
		"Resource 'cpus:0' is invalid: Invalid scalar resource: value <= 0":                                                                      scalar("cpus", 0.0001),
		"Resource 'ports:[2-1]' is invalid: Invalid ranges resource: begin > end":                                                                ports(2, 1),
		"Resource 'ports:[1-5, 4-9]' is invalid: Invalid ranges resource: overlapping ranges":                                                    ports(1, 5, 4, 9),
		"Resource ':1' is invalid: Empty resource name":                                                                                          scalar("", 1),
		"Resource 'cpus:0' is invalid: Invalid scalar resource":                                                                                  {Name: "cpus", Type: mesos.SCALAR.Enum()},
		"Resource 'mem(reservations: [(STATIC,-a)]):1' is invalid: Role component '-a' is invalid because it starts with a dash":                 {Name: "mem", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 1}, Role: new("-a")},
		"Resource 'cpus(reservations: [(STATIC,a),(DYNAMIC,b)]):1' is invalid: Invalid refined reservation: role 'b' is not a refinement of 'a'": reserved(scalar("cpus", 1), "a", "b"),
	} {
		if _, err := FromMesos([]mesos.Resource{r}); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestRolesAreReservations(t *testing.T) {
	old := from(t, mesos.Resource{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 2}, Role: new("ops")}, scalar("cpus", 1))
	if got := old.ReservedFor("ops").Scalar("cpus"); got != Whole(2) {
		t.Errorf("reserved: %s", got)
	}
	if got := old.Unreserved().Scalar("cpus"); got != Whole(1) {
		t.Errorf("unreserved: %s", got)
	}
	refined := from(t, reserved(scalar("cpus", 2), "ops"), scalar("cpus", 1))
	if !old.Equal(refined) {
		t.Errorf("%s is not %s", old, refined)
	}
	nested := from(t, reserved(scalar("cpus", 4), "ops", "ops/web"))
	if got := nested.AllocatableTo("ops/web/eu"); !got.Equal(nested) {
		t.Errorf("a role below gets %s", got)
	}
	if got := nested.AllocatableTo("ops"); !got.Empty() {
		t.Errorf("the role above gets %s", got)
	}
}

func TestOrderIsMesosOwn(t *testing.T) {
	all := from(t, scalar("cpus", 8), scalar("mem", 8192), scalar("disk", 20000), ports(31000, 32000))
	left, err := all.Subtract(from(t, scalar("cpus", 8)))
	if err != nil {
		t.Fatal(err)
	}
	// What becomes empty is replaced by the last.
	if got, want := left.String(), "ports:[31000-32000]; mem:8192; disk:20000"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := all.String(), "cpus:8; mem:8192; disk:20000; ports:[31000-32000]"; got != want {
		t.Errorf("the minuend became %s", got)
	}
}

func TestVolumesAreIndivisible(t *testing.T) {
	a := from(t, volume("v1", 64, "ops"))
	if a.Contains(from(t, volume("v1", 32, "ops"))) {
		t.Error("a part of a volume is contained")
	}
	left, err := a.Subtract(a)
	if err != nil || !left.Empty() {
		t.Errorf("a volume without itself is %s, %v", left, err)
	}
	shared := volume("v1", 64, "ops")
	shared.Shared = &mesos.Resource_SharedInfo{}
	twice := from(t, shared, shared)
	if got := len(twice.ToMesos()); got != 2 {
		t.Errorf("two uses are %d", got)
	}
	once, err := twice.Subtract(from(t, shared))
	if err != nil || once.Empty() || !from(t, shared).Equal(once) {
		t.Errorf("got %s, %v", once, err)
	}
}

func TestTake(t *testing.T) {
	offered := from(t,
		ports(31000, 31002, 31010, 31010), reserved(ports(31005, 31005), "ops"),
		scalar("cpus", 1), reserved(scalar("cpus", 0.5), "ops"),
		scalar("mem", 128), scalar("disk", 100), volume("v1", 1000, "ops"),
	).Allocate("ops")

	got, rest, err := offered.Take(
		Request{CPUs: Thousandths(0.7), Mem: Whole(128), Disk: Whole(60), Ports: []uint64{31005, 31002, 31000, 31001}},
		Request{CPUs: Thousandths(0.3), Ports: []uint64{31010}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"cpus(allocated: ops)(reservations: [(STATIC,ops)]):0.5; cpus(allocated: ops):0.2; mem(allocated: ops):128; disk(allocated: ops):60; " +
			"ports(allocated: ops)(reservations: [(STATIC,ops)]):[31005-31005]; ports(allocated: ops):[31000-31002]",
		"cpus(allocated: ops):0.3; ports(allocated: ops):[31010-31010]",
	} {
		if taken := from(t, got[i]...); taken.String() != want {
			t.Errorf("took %s\nwant %s", taken, want)
		}
	}
	if back := rest.Add(from(t, got[0]...)).Add(from(t, got[1]...)); !back.Equal(offered) {
		t.Errorf("rest and taken are %s", back)
	}

	for _, tt := range []struct {
		q    Request
		want string
	}{
		{Request{CPUs: Whole(2)}, "not enough cpus: 2 wanted, 0.5 available"},
		{Request{GPUs: Whole(1)}, "not enough gpus: 1 wanted, 0 available"},
		{Request{Disk: Whole(101)}, "not enough disk: 101 wanted, 100 available"}, // the volume is not touched
		{Request{Ports: []uint64{8080}}, "port 8080 is not available"},
		{Request{Ports: []uint64{31001, 31001}}, "port 31001 is not available"},
	} {
		_, rest, err := offered.Take(Request{CPUs: Whole(1)}, tt.q)
		if !rest.Equal(offered) {
			t.Errorf("%s is left", rest)
		}
		var short *Shortage
		if !errors.As(err, &short) || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

func TestValidateRole(t *testing.T) {
	for role, want := range map[string]string{
		"*": "", "a": "", "a/b": "", "a*": "",
		"":     "Role names cannot be the empty string",
		"/a":   "Role '/a' cannot start with a slash",
		"a/":   "Role 'a/' cannot end with a slash",
		"a//b": "Role 'a//b' cannot contain two adjacent slashes",
		"a/..": "Role 'a/..' cannot include '..' as a component",
		"a/*":  "Role 'a/*' cannot include '*' as a component",
		"-a":   "Role component '-a' is invalid because it starts with a dash",
		"a b":  "Role component 'a b' is invalid because it contains backspace or whitespace",
	} {
		got := ""
		if err := ValidateRole(role); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", role, got, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	offered := from(b, ports(31000, 32000), scalar("cpus", 8), scalar("mem", 8192), scalar("disk", 20000)).Allocate("example")
	q := Request{CPUs: Thousandths(0.1), Mem: Whole(32), Disk: Whole(10), Ports: []uint64{31000}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := offered.Take(q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSubtract(b *testing.B) {
	offered := from(b, ports(31000, 32000), scalar("cpus", 8), scalar("mem", 8192), scalar("disk", 20000)).Allocate("example")
	some := from(b, scalar("cpus", 0.1), scalar("mem", 32)).Allocate("example")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := offered.Subtract(some); err != nil {
			b.Fatal(err)
		}
	}
}
