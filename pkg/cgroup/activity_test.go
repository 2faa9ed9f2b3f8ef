package cgroup

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestActivityIsReadAsTheKernelWritesIt(t *testing.T) {
	v1 := "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 0\n8:0 Async 4608\n8:0 Total 4608\n8:16 Read 1\n8:16 Write x\nTotal 4609\n"
	if diff := cmp.Diff(&IOUsage{ReadBytes: 4097, WrittenBytes: 512}, parseIOv1([]byte(v1))); diff != "" {
		t.Error(diff)
	}
	v2 := "8:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n7:0 \n"
	if diff := cmp.Diff(&IOUsage{ReadBytes: 4097, WrittenBytes: 514}, parseIOv2([]byte(v2))); diff != "" {
		t.Error(diff)
	}
	psi := "some avg10=1.53 avg60=0.87 avg300=0.17 total=2450123\nfull avg10=0.51 avg60=0.30 avg300=0.00 total=450000\n"
	want := &Pressure{Some: 1.53, Full: 0.51, SomeTotal: 2450123 * time.Microsecond}
	if diff := cmp.Diff(want, parsePressure([]byte(psi))); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "pressure is off\n"} {
		if p := parsePressure([]byte(text)); p != nil {
			t.Errorf("%q is read as %+v", text, p)
		}
	}
}

func FuzzActivity(f *testing.F) {
	f.Add([]byte("some avg10=1.53 total=24\nfull avg10=NaN"))
	f.Add([]byte("8:0 Read 4096\n8:0 rbytes=4096"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parseIOv1(data)
		parseIOv2(data)
		if p := parsePressure(data); p != nil && !(p.Some >= 0 && p.Some <= 100 && p.Full >= 0 && p.Full <= 100 && p.SomeTotal >= 0) {
			t.Errorf("impossible: %+v", p)
		}
	})
}
