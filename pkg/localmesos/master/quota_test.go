package master

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestQuota: UPDATE_QUOTA is checked as a real master does, all of it or none,
// and makes room by taking offers back.
func TestQuota(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		w.agent("127.0.0.1") // cpus:8; mem:8192; disk:20000
		s := w.subscribe(exampleInfo)
		s.transcript()
		update := func(force bool, configs string) string {
			answer := w.do(http.MethodPost, "/api/v1", fmt.Sprintf(
				`{"type":"UPDATE_QUOTA","update_quota":{"force":%t,"quota_configs":[%s]}}`, force, configs),
				"Content-Type", "application/json")
			return fmt.Sprintf("%d %s", answer.status, strings.TrimSpace(answer.body))
		}
		for config, want := range map[string]string{
			`{"role":"a/b"}`: "400 Updating quota on nested role 'a/b' is not supported yet",
			`{"role":"a b"}`: "400 Invalid QuotaConfig: Invalid 'QuotaConfig.role': Role component 'a b' is invalid because it contains backspace or whitespace",
			`{"role":"other","guarantees":{"cpus":{"value":-1}}}`:                              "400 Invalid QuotaConfig: Invalid guarantee configuration {'cpus': -1}: Negative values not supported",
			`{"role":"other","limits":{"mem":{"value":1e13}}}`:                                 "400 Invalid QuotaConfig: Invalid 'QuotaConfig.limits': {'mem': 10000000000000} is invalid: values greater than 1 exabyte (1099511627776) are not supported",
			`{"role":"other","guarantees":{"cpus":{"value":2}},"limits":{"cpus":{"value":1}}}`: "400 Invalid QuotaConfig: 'QuotaConfig.guarantees' { cpus: 2 } is not contained within the 'QuotaConfig.limits' { cpus: 1 }",
			`{"role":"other","guarantees":{"cpus":{"value":9}}}`: "400 Invalid QuotaConfig: total quota guarantees 'cpus:9' exceed cluster capacity 'cpus:8; disk:20000; mem:8192'" +
				" (use 'force' flag to bypass this check)",
		} {
			w.expect(update(false, config), want)
		}
		w.expect(w.get("/quota"), "{}")

		w.expect(update(false, `{"role":"other","guarantees":{"cpus":{"value":2}},"limits":{"cpus":{"value":4}}}`), "200")
		w.settle()
		if got := s.transcript(); !strings.Contains(got, "RESCIND O0") {
			t.Errorf("no offer was taken back for the guarantee:\n%s", got)
		}
		w.pass(time.Second)
		if got := s.transcript(); !strings.Contains(got, "cpus:6") {
			t.Errorf("the guarantee is not held back:\n%s", got)
		}
		w.expect(w.get("/quota"), `{"infos":[{"role":"other","guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":2.0}}]}],`+
			`"configs":[{"role":"other","guarantees":{"cpus":{"value":2.0}},"limits":{"cpus":{"value":4.0}}}]}`)
		if roles := w.get("/roles"); !strings.Contains(roles, `{"name":"other","weight":1.0,"quota":{"role":"other","guarantee":{"cpus":2.0},"limit":{"cpus":4.0},"consumed":{}}`) {
			t.Errorf("/roles says %s", roles)
		}
		// Nothing guaranteed and nothing limited is still known, as in a real master.
		w.expect(update(false, `{"role":"other"}`), "200")
		w.expect(w.get("/quota"), `{"infos":[{"role":"other"}],"configs":[{"role":"other"}]}`)
	})
}

func TestWeights(t *testing.T) {
	inWorld(t, Options{}, func(w *world) {
		put := func(body string) string {
			answer := w.do(http.MethodPut, "/weights", body)
			return fmt.Sprintf("%d %s", answer.status, strings.TrimSpace(answer.body))
		}
		w.expect(put(`[{"role":"a","weight":2.5}]`), "200")
		w.expect(put(`[{"role":"a","weight":0}]`), "400 Failed to validate update weights request JSON for role 'a': Invalid weight '0': Weights must be positive")
		w.expect(put(`{`), "400 Failed to parse update weights request JSON '{': syntax error at line 1 near: ")
		w.expect(w.get("/weights"), `[{"weight":2.5,"role":"a"}]`)
		w.expect(w.do(http.MethodPost, "/api/v1", `{"type":"GET_WEIGHTS"}`, "Content-Type", "application/json").body, `{"type":"GET_WEIGHTS","get_weights":{"weight_infos":[{"weight":2.5,"role":"a"}]}}`)
	})
}
