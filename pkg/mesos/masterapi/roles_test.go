package masterapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/mesos/masterapi"
)

// TestRoles reads what masters say of roles, of today and of before 1.9.
func TestRoles(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		status       int
		want         []masterapi.Role
		err          string
	}{
		{name: "limits", answer: `{"roles":[{"name":"*","weight":1.0,"quota":{"role":"*","guarantee":{},"limit":{},"consumed":{}},"resources":{}},
			{"name":"team","weight":2.0,"quota":{"role":"team","guarantee":{"cpus":2.0},"limit":{"cpus":10.0,"mem":512.0},"consumed":{"cpus":9.5}},
			 "resources":{"cpus":9.5},"frameworks":["f"]}]}`,
			want: []masterapi.Role{
				{Name: "*", Limit: map[string]float64{}, Consumed: map[string]float64{}},
				{Name: "team", Limit: map[string]float64{"cpus": 10, "mem": 512}, Consumed: map[string]float64{"cpus": 9.5}},
			}},
		{name: "of before there were limits", answer: `{"roles":[{"name":"team","weight":1.0,"frameworks":[]}]}`, want: []masterapi.Role{{Name: "team"}}},
		{name: "kept back", status: http.StatusForbidden, err: masterapi.ErrForbidden.Error()},
		{name: "no JSON", answer: `<html>`, err: "invalid character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/roles" || r.Method != http.MethodGet {
					t.Errorf("%s %s", r.Method, r.URL)
				}
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				_, _ = w.Write([]byte(c.answer))
			}))
			defer m.Close()
			got, err := masterapi.New(masterapi.Options{}).Roles(t.Context(), strings.TrimPrefix(m.URL, "http://"))
			switch {
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)), c.err == "" && err != nil:
				t.Errorf("the error is %v, want %q", err, c.err)
			case !reflect.DeepEqual(got, c.want):
				t.Errorf("got %v, want %v", got, c.want)
			}
			if c.status != 0 && !errors.Is(err, masterapi.ErrForbidden) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
