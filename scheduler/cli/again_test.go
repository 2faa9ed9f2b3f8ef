package cli_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/cli"
)

// TestAChangeThatIsNotAnswered is asked for again under the same key, and a person
// hears of it; what only reads is not, nor what was refused.
func TestAChangeThatIsNotAnswered(t *testing.T) {
	lost := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	away := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"code":"unavailable","message":"no scheduler leads"}`)
	}
	for name, tt := range map[string]struct {
		args    []string
		happens []func(http.ResponseWriter)
		status  int
		calls   int
		stderr  string
	}{
		"the connection breaks": {[]string{"stop", "/api"}, []func(http.ResponseWriter){lost}, 0, 2, "note: the scheduler has not answered, and is asked again\n"},
		"nobody leads":          {[]string{"stop", "/api"}, []func(http.ResponseWriter){away, lost, away}, 0, 4, "note: the scheduler has not answered, and is asked again\n"},
		"there is no time":      {[]string{"stop", "--retry", "0", "/api"}, []func(http.ResponseWriter){away}, 3, 1, "no scheduler leads"},
		"it is refused":         {[]string{"stop", "/none"}, nil, 4, 1, "there is no job /none"},
		"it only reads":         {[]string{"list"}, []func(http.ResponseWriter){away}, 3, 1, "no scheduler leads"},
	} {
		t.Run(name, func(t *testing.T) {
			scheduler, err := url.Parse(start(t))
			if err != nil {
				t.Fatal(err)
			}
			proxy := httputil.NewSingleHostReverseProxy(scheduler)
			var mu sync.Mutex
			var keys []string
			broken := false
			between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				counts := strings.HasSuffix(r.URL.Path, "/StopJob") || tt.args[0] == "list"
				if mu.Lock(); broken && counts {
					keys = append(keys, r.Header.Get("Idempotency-Key"))
					if n := len(keys); n <= len(tt.happens) {
						mu.Unlock()
						tt.happens[n-1](w)
						return
					}
				}
				mu.Unlock()
				proxy.ServeHTTP(w, r)
			}))
			defer between.Close()
			sys, _, stderr := system(map[string]string{"TANDEM_SCHEDULER": between.URL})
			if status := cli.Run(t.Context(), []string{"run", "testdata/api.yaml"}, sys); status != 0 {
				t.Fatal(stderr)
			}
			mu.Lock()
			broken = true
			mu.Unlock()
			if status := cli.Run(t.Context(), tt.args, sys); status != tt.status || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("exit %d, want %d:\n%s", status, tt.status, stderr)
			}
			if len(keys) != tt.calls {
				t.Errorf("%d calls were made, want %d", len(keys), tt.calls)
			}
			for _, key := range keys {
				if key != keys[0] || (key == "") != (tt.args[0] == "list") {
					t.Errorf("the keys are %q", keys)
				}
			}
		})
	}
}
