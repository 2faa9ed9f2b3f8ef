package master

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inLaterWorlds runs tests with one master each, the later ones in processes that
// know of the earlier ones by the registry's file only.
func inLaterWorlds(t *testing.T, file string, tests ...func(*world)) {
	t.Helper()
	for _, test := range tests {
		inWorld(t, Options{RegistryFile: file, AgentReregisterTimeout: time.Minute}, func(w *world) {
			test(w)
			w.m.Kill()
		})
	}
}

// change makes a call of an operator's.
func (w *world) change(call string) {
	w.Helper()
	if a := w.do("POST", "/api/v1", call, "Content-Type", "application/json"); a.status != http.StatusOK && a.status != http.StatusAccepted {
		w.Errorf("%s: %d %s", call, a.status, a.body)
	}
}

func (w *world) shows(path string, all ...string) {
	w.Helper()
	shown := w.get(path)
	for _, want := range all {
		if !strings.Contains(shown, want) {
			w.Errorf("%s shows %s, without %s", path, shown, want)
		}
	}
}

func TestAMasterOfALaterProcessKnowsWhatOperatorsHaveSaid(t *testing.T) {
	const (
		plan   = `"windows":[{"machine_ids":[{"hostname":"away"}],"unavailability":{"start":{"nanoseconds":7}}}]`
		quota  = `{"type":"UPDATE_QUOTA","update_quota":{"force":true,"quota_configs":[{"role":"q","limits":{"cpus":{"value":2}}}]}}`
		weight = `{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"w","weight":2.5}]}}`
	)
	known := func(w *world) {
		w.shows("/weights", `"role":"w"`, `"weight":2.5`)
		w.shows("/roles", `"name":"q"`)
		w.shows("/maintenance/schedule", `"hostname":"away"`)
		w.shows("/maintenance/status", `"down_machines":[{"hostname":"away"}]`)
	}
	inLaterWorlds(t, filepath.Join(t.TempDir(), "registry"), func(w *world) {
		w.change(quota)
		w.change(weight)
		w.change(`{"type":"UPDATE_MAINTENANCE_SCHEDULE","update_maintenance_schedule":{"schedule":{` + plan + `}}}`)
		w.change(`{"type":"START_MAINTENANCE","start_maintenance":{"machines":[{"hostname":"away"}]}}`)
		known(w)
	}, known, func(w *world) {
		known(w)
		w.change(`{"type":"STOP_MAINTENANCE","stop_maintenance":{"machines":[{"hostname":"away"}]}}`)
	}, func(w *world) {
		if shown := w.get("/maintenance/schedule"); strings.Contains(shown, "away") {
			t.Errorf("the machine is still planned for: %s", shown)
		}
	})
}

func TestAMasterOfALaterProcessExpectsTheAgentsBack(t *testing.T) {
	const agent = masterID + "-S0"
	back := func(w *world) {
		s := w.subscribe(exampleInfo)
		s.must(reconcile(asked("t1", agent)))
		w.expect(s.transcript(), "")
	}
	inLaterWorlds(t, filepath.Join(t.TempDir(), "registry"), func(w *world) {
		w.agent("127.0.0.1", 8)
	}, back, func(w *world) {
		back(w)
		w.pass(time.Minute)
	}, func(w *world) {
		s := w.subscribe(exampleInfo)
		s.must(reconcile(asked("t1", agent)))
		if got := s.transcript(); !strings.HasPrefix(got, "UPDATE t1 TASK_UNREACHABLE") {
			t.Errorf("the framework hears %s", got)
		}
		w.change(`{"type":"MARK_AGENT_GONE","mark_agent_gone":{"agent_id":{"value":"` + agent + `"}}}`)
	}, func(w *world) {
		s := w.subscribe(exampleInfo)
		s.must(reconcile(asked("t1", agent)))
		if got := s.transcript(); !strings.HasPrefix(got, "UPDATE t1 TASK_GONE_BY_OPERATOR") {
			t.Errorf("the framework hears %s", got)
		}
	})
}

func TestAChangeThatCannotBeStoredFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "removed", "registry")
	inWorld(t, Options{RegistryFile: file}, func(w *world) {
		a := w.do("POST", "/api/v1", `{"type":"UPDATE_WEIGHTS","update_weights":{"weight_infos":[{"role":"w","weight":2}]}}`, "Content-Type", "application/json")
		if a.status != http.StatusInternalServerError || !strings.Contains(a.body, "cannot store the registry") {
			t.Errorf("the answer is %d %s", a.status, a.body)
		}
		// Once it can be, it is.
		if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		w.get("/weights")
	})
	inWorld(t, Options{RegistryFile: file}, func(w *world) { w.shows("/weights", `"role":"w"`) })
}

func TestAMasterRefusesARegistryThatItCannotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "registry")
	if err := os.WriteFile(file, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{RegistryFile: file})
	if err == nil || !strings.Contains(err.Error(), "cannot read the registry "+file) {
		t.Errorf("the error is %v", err)
	}
}
