package api_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/api"
)

// TestCallsByHandAreToldWhatIsWrong where the protocols would answer with a status alone.
func TestCallsByHandAreToldWhatIsWrong(t *testing.T) {
	s, err := api.New(options(&commander{}, teams()))
	if err != nil {
		t.Fatal(err)
	}
	const service = "/tandem.v1.SchedulerService/"
	for _, tt := range []struct {
		method, path, contentType string
		status                    int
		want                      string
	}{
		{"POST", "GetJob", "application/x-www-form-urlencoded", 415, "Content-Type: application/json"},
		{"POST", "GetJob", "", 415, "Content-Type: application/json"},
		{"GET", "GetJob", "", 415, "encoding=json"},
		{"POST", "GetJbo", "application/json", 404, `there is no call "GetJbo"; did you mean GetJob?`},
		{"POST", "", "application/json", 404, `there is no call ""`},
		{"POST", "GetJob/", "application/grpc", 404, "there is no call"},
		{"POST", "ListJobs", "application/json; charset=utf-8", 200, "/team/words"},
		{"POST", "ListJobs", "Application/JSON", 200, "/team/words"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tt.method, service+tt.path, strings.NewReader("{}"))
		r.Header.Set("Content-Type", tt.contentType)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %q as %q: %d %s", tt.method, tt.path, tt.contentType, w.Code, w.Body)
		}
	}
}
