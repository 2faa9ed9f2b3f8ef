package agent_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

func TestFetchedFiles(t *testing.T) {
	f := start(t, nil)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "words"), []byte("some words"), 0o644); err != nil {
		t.Fatal(err)
	}
	requests := 0
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet { // and not the question for its size
			requests++
		}
		http.ServeFile(w, r, filepath.Join(dir, r.URL.Path))
	}))
	defer files.Close()
	yes, name := true, "data/more"
	for _, id := range []string{"exec-1", "exec-2"} {
		e := executorInfo(id, "normal")
		e.Command.URIs = append(e.Command.URIs,
			mesos.CommandInfo_URI{Value: files.URL + "/words", Cache: &yes},
			mesos.CommandInfo_URI{Value: filepath.Join(dir, "words"), OutputFile: &name})
		f.launch(e, task("of-"+id, "run"))
		f.expect("update of-" + id + " TASK_RUNNING")
		for _, file := range []string{"words", name} {
			if got := f.read(filepath.Join(f.sandbox(id), file)); got != "some words" {
				t.Errorf("%s holds %q", file, got)
			}
		}
	}
	if requests != 1 {
		t.Errorf("the cached file was requested %d times", requests)
	}
	if log := f.read(filepath.Join(f.sandbox("exec-1"), "stderr")); !strings.Contains(log, "Successfully fetched all URIs into '") {
		t.Errorf("stderr %q", log)
	}
}

// slowSite serves one file, once it is allowed to.
func slowSite(t *testing.T, file string) (url string, asked <-chan struct{}, release func()) {
	t.Helper()
	began, allowed := make(chan struct{}), make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		select {
		case <-allowed:
			http.ServeFile(w, r, file)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(site.Close)
	return site.URL + "/" + filepath.Base(file), began, func() { close(allowed) }
}

func TestKillDuringTheFetch(t *testing.T) {
	f := start(t, nil)
	e := executorInfo("exec-1", "normal")
	var asked <-chan struct{}
	var release func()
	e.Command.URIs[0].Value, asked, release = slowSite(t, strings.TrimPrefix(e.Command.URIs[0].Value, "file://"))
	f.launch(e, task("t1", "run"), task("t2", "run"))
	<-asked
	f.agent.KillTask(*framework().ID, task("t2", "").TaskID, nil)
	for _, id := range []string{"t1", "t2"} {
		got := f.expect("update " + id + " TASK_KILLED").update.Status
		if got.GetReason() != mesos.REASON_TASK_KILLED_DURING_LAUNCH ||
			got.GetMessage() != "A task within the task group was killed before delivery to the executor" {
			t.Errorf("%v %q", got.GetReason(), got.GetMessage())
		}
	}
	// The fetch goes on; the executor starts and is told to end.
	release()
	f.expect("exited exec-1 0")
	if out := f.read(filepath.Join(f.sandbox("exec-1"), "stdout")); strings.Contains(out, "SUBSCRIBED") {
		t.Errorf("the executor was let in: %s", out)
	}
}

func TestStopDuringTheFetch(t *testing.T) {
	f := start(t, nil)
	e := executorInfo("exec-1", "normal")
	var asked <-chan struct{}
	e.Command.URIs[0].Value, asked, _ = slowSite(t, "none")
	f.launch(e, task("t1", "run"))
	<-asked
	f.stop()
}
