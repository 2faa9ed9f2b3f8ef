package conversion_test

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/conversion"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

func disk(mb float64, volume string) mesos.Resource {
	role := "r"
	r := mesos.Resource{
		Name: "disk", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: mb},
		Reservations: []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role}},
	}
	if volume != "" {
		r.Disk = &mesos.Resource_DiskInfo{
			Persistence: &mesos.Resource_DiskInfo_Persistence{ID: volume},
			Volume:      &mesos.Volume{ContainerPath: "data", Mode: mesos.RW.Enum()},
		}
	}
	return r
}

// TestOperationsUndoEachOther goes from free disk to a volume and back.
func TestOperationsUndoEachOther(t *testing.T) {
	free := resource.New(0, 0, resource.Whole(100), 0)
	have := free
	for _, step := range []struct {
		op   mesos.Offer_Operation
		want string
	}{
		{mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: []mesos.Resource{disk(60, "")}}},
			"disk:40; disk(reservations: [(DYNAMIC,r)]):60"},
		{mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: []mesos.Resource{disk(10, "v")}}},
			"disk:40; disk(reservations: [(DYNAMIC,r)]):50; disk(reservations: [(DYNAMIC,r)])[v:data]:10"},
		{mesos.Offer_Operation{Type: mesos.Offer_Operation_GROW_VOLUME, GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: disk(10, "v"), Addition: disk(5, "")}},
			"disk:40; disk(reservations: [(DYNAMIC,r)]):45; disk(reservations: [(DYNAMIC,r)])[v:data]:15"},
		{mesos.Offer_Operation{Type: mesos.Offer_Operation_SHRINK_VOLUME, ShrinkVolume: &mesos.Offer_Operation_ShrinkVolume{Volume: disk(15, "v"), Subtract: mesos.Value_Scalar{Value: 5}}},
			"disk:40; disk(reservations: [(DYNAMIC,r)]):50; disk(reservations: [(DYNAMIC,r)])[v:data]:10"},
		{mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY, Destroy: &mesos.Offer_Operation_Destroy{Volumes: []mesos.Resource{disk(10, "v")}}},
			"disk:40; disk(reservations: [(DYNAMIC,r)]):60"},
		{mesos.Offer_Operation{Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: []mesos.Resource{disk(60, "")}}},
			"disk:100"},
	} {
		all, err := conversion.Of(&step.op)
		if err != nil {
			t.Fatal(err)
		}
		if have, err = conversion.Apply(have, all); err != nil {
			t.Fatal(err)
		}
		if have.String() != step.want {
			t.Errorf("after %s there is %s, want %s", step.op.Type, have, step.want)
		}
	}
	all, _ := conversion.Of(&mesos.Offer_Operation{Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: []mesos.Resource{disk(1, "")}}})
	const want = "disk:100 does not contain disk(reservations: [(DYNAMIC,r)]):1"
	if _, err := conversion.Apply(have, all); err == nil || err.Error() != want {
		t.Errorf("unreserving what is free says %v, want %s", err, want)
	}
}
