package wire_test

import (
	"maps"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// TestDocuments holds what a real master of 1.12 says to wrong bodies.
func TestDocuments(t *testing.T) {
	s, err := wire.NewSchema()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		`[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]`: "",
		`[]`:           "",
		``:             "syntax error at line 1 near: ",
		`x`:            "syntax error at line 1 near: x",
		`{}`:           "Unexpected JSON type parsed",
		`[{}]`:         "Missing required fields: name, type",
		`[{"name":1}]`: "Not expecting a JSON number for field 'name'",
		`[1]`:          "Expecting a JSON object",
	} {
		d, err := wire.ParseArray([]byte(text))
		if err == nil {
			_, err = wire.ConvertList[mesos.Resource](s, d)
		}
		if got := ""; err != nil {
			if got = err.Error(); got != want {
				t.Errorf("%s: %q, want %q", text, got, want)
			}
		} else if want != "" {
			t.Errorf("%s: taken", text)
		}
	}
	if _, err := wire.ParseObject([]byte(`[]`)); err == nil {
		t.Error("an array is taken for an object")
	}
}

func TestDecodeForm(t *testing.T) {
	got, err := wire.DecodeForm("a=1&b=x+y%2Fz;c&a=2&d==")
	if want := map[string]string{"a": "2", "b": "x y/z", "c": "", "d": "="}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		"%": "Malformed % escape in '%': '%'", "a=%4": "Malformed % escape in '%4': '%4'", "a=b%zzc": "Malformed % escape in 'b%zzc': '%zz'",
	} {
		if _, err := wire.DecodeForm(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzDecodeForm(f *testing.F) {
	f.Add("a=1&b=x+y%2Fz")
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = wire.DecodeForm(text) // must not panic
	})
}
