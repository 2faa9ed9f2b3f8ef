package state

import "testing"

func TestTaskName(t *testing.T) {
	for _, c := range []struct {
		name TaskName
		id   string
	}{
		{TaskName{"/hello", 0, 1, "count"}, "hello.0.1.count"},
		{TaskName{"/payments/api", 12, 345, "web-2"}, "payments_api.12.345.web-2"},
		{TaskName{"/a", 2147483647, 18446744073709551615, "w"}, "a.2147483647.18446744073709551615.w"},
	} {
		if got := c.name.String(); got != c.id {
			t.Errorf("%+v is %s, want %s", c.name, got, c.id)
		}
		if got, ok := ParseTaskName(c.id); !ok || got != c.name {
			t.Errorf("%s is %+v, want %+v", c.id, got, c.name)
		}
	}
	for _, id := range []string{"", "web", "a.b.c.d", "a.0.0.web", "a.-1.1.web", "a.0.1.", ".0.1.web", "a.00.1.web", "a.0.1.web.x", "a.0.+1.web",
		"a.0.01.web", "a/b.0.1.web", "a.2147483648.1.web", "a.0.18446744073709551616.web"} {
		if n, ok := ParseTaskName(id); ok {
			t.Errorf("%q is taken for %+v", id, n)
		}
	}
}

func FuzzParseTaskName(f *testing.F) {
	f.Add("payments_api.0.3.web")
	f.Fuzz(func(t *testing.T, id string) {
		if n, ok := ParseTaskName(id); ok && n.String() != id {
			t.Fatalf("%q is read as %+v, which is %q", id, n, n.String())
		}
	})
}
