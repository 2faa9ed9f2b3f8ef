package api_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/scheduler/core"
)

// TestWhatCannotBeRead is refused, with the field at fault: nothing is done without it.
func TestWhatCannotBeRead(t *testing.T) {
	submitted := 0
	base, _ := serve(t, options(&commander{submit: func(core.Submit) (core.Reply, error) {
		submitted++
		return core.Reply{Version: 1}, nil
	}}, teams()))
	call := base + "/tandem.v1.SchedulerService/"
	envelope := func(text string) string { return "\x00\x00\x00\x00" + string(rune(len(text))) + text }
	const slip = `{"job":{"id":"/a","instnaces":3,"workloads":[{"name":"m","cmd":"true"}]}}`
	for name, tt := range map[string]struct{ method, address, kind, body, field string }{
		"a call":                  {"POST", call + "SubmitJob", "application/json", slip, "instnaces"},
		"a wrong number":          {"POST", call + "SubmitJob", "application/json", strings.Replace(slip, `"instnaces":3`, `"instances":"x"`, 1), "instances"},
		"a wrong mask":            {"POST", call + "ListJobs", "application/json", `{"readMask":"spec..id"}`, "readMask"},
		"a call with a charset":   {"POST", call + "SubmitJob", "application/json; charset=utf-8", slip, "instnaces"},
		"a call by GET":           {"GET", call + "GetJob?connect=v1&encoding=json&message=" + url.QueryEscape(`{"id":"/team/words","masc":""}`), "", "", "masc"},
		"a stream":                {"POST", call + "Watch", "application/connect+json", envelope(`{"jobID":"/a"}`), "jobID"},
		"a call that is all well": {"POST", call + "SubmitJob", "application/json", strings.ReplaceAll(slip, "instnaces", "instances"), ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, tt.address, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		if tt.kind != "" {
			req.Header.Set("Content-Type", tt.kind)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(res.Body)
		res.Body.Close()
		refused := strings.Contains(string(answer), `"code":"invalid_argument","message":"the request cannot be read: (line 1:`) &&
			strings.Contains(string(answer), `"reason":"INVALID_REQUEST"`) && strings.Contains(string(answer), `"field":"`+tt.field+`","reason":`)
		if err != nil || refused != (tt.field != "") {
			t.Errorf("%s: %s, %v", name, answer, err)
		}
	}
	if submitted != 1 {
		t.Errorf("%d jobs were submitted", submitted)
	}
}
