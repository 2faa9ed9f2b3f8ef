package cli_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/api"
	"github.com/tandem-mesos/tandem/scheduler/cli"
)

// TestNoticesAreShown beside the answer, once for all calls of a command.
func TestNoticesAreShown(t *testing.T) {
	to, err := url.Parse(start(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set(api.NoticeHeader, "no scheduler leads now;\nthis is old")
			return nil
		},
	}
	server := httptest.NewServer(proxy)
	defer server.Close()
	sys, stdout, stderr := system(nil)
	if status := cli.Run(t.Context(), []string{"list", "--scheduler", server.URL}, sys); status != 0 {
		t.Fatalf("exit %d: %s", status, stderr)
	}
	if want := "no jobs; `tandem run FILE` submits one\n"; stdout.String() != want {
		t.Errorf("stdout is %q, want %q", stdout, want)
	}
	if want := "note: no scheduler leads now; this is old\n"; stderr.String() != want {
		t.Errorf("stderr is %q, want %q", stderr, want)
	}
}
