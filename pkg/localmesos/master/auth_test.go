package master

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func basic(credentials string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

var credentials = Options{FrameworkCredentials: map[string]string{"fw-a": "test-secret-a", "fw-b": "test-secret-b"}}

func TestCredentialsAreAskedForBeforeAnythingElse(t *testing.T) {
	inWorld(t, credentials, func(w *world) {
		for _, authorization := range []string{
			"", basic("nobody:x"), basic("fw-a:wrong"), basic("fw-a:"), basic("fw-a"), "Bearer abc", "Basic", "Basic !!!",
			strings.Replace(basic("fw-a:test-secret-a"), "Basic", "basic", 1), strings.Replace(basic("fw-a:test-secret-a"), " ", "  ", 1),
		} {
			for _, method := range []string{"GET", "POST"} {
				a := w.do(method, "/api/v1/scheduler", `{"type":`, "Authorization", authorization)
				if a.status != 401 || a.body != "401 Unauthorized." || a.header.Get("WWW-Authenticate") != `Basic realm="mesos-master-scheduler"` {
					t.Errorf("%s with %q: %d %s %v", method, authorization, a.status, a.body, a.header)
				}
			}
		}
		w.get("/health")
		w.get("/frameworks")
	})
}

func TestPrincipals(t *testing.T) {
	inWorld(t, credentials, func(w *world) {
		a, b := basic("fw-a:test-secret-a"), basic("fw-b:test-secret-b")
		subscribe := func(principal, authorization, id string) *fakeScheduler {
			call := `{"type":"SUBSCRIBE",%s"subscribe":{"framework_info":{%s` + exampleInfo + principal + `}}}`
			if id == "" {
				return w.open(fmt.Sprintf(call, "", ""), "Authorization", authorization)
			}
			return w.open(fmt.Sprintf(call, `"framework_id":{"value":"`+id+`"},`, `"id":{"value":"`+id+`"},`), "Authorization", authorization)
		}
		for _, other := range []string{"fw-b", "other", ""} {
			s := subscribe(`,"principal":"`+other+`"`, a, "")
			w.expect(fmt.Sprint(s.status, " ", s.in), fmt.Sprintf("400 Failed to validate scheduler::Call: Authenticated principal 'fw-a' does not match principal '%s' set in `FrameworkInfo`", other))
		}
		// A missing one is filled in.
		s := subscribe("", a, "")
		s.started()
		if shown := w.get("/frameworks"); !strings.Contains(shown, `"principal":"fw-a"`) {
			t.Errorf("/frameworks shows %s", shown)
		}
		revive := func(id, authorization string) string {
			a := w.do("POST", "/api/v1/scheduler", fmt.Sprintf(`{"type":"REVIVE","framework_id":{"value":%q}}`, id),
				"Content-Type", "application/json", "Mesos-Stream-Id", s.streamID, "Authorization", authorization)
			return fmt.Sprint(a.status, " ", a.body)
		}
		w.expect(revive(s.id, a), "202 ")
		w.expect(revive(s.id, ""), "401 401 Unauthorized.")
		w.expect(revive(s.id, b), "400 Authenticated principal 'fw-b' does not match principal 'fw-a' set in `FrameworkInfo`")
		w.expect(revive("x", b), "400 Framework cannot be found")
		thief := subscribe("", b, s.id)
		w.expect(thief.transcript(), "ERROR Changing framework's principal is not allowed.")
		w.expect(revive(s.id, a), "202 ")
	})
}
