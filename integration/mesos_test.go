package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/tandem-mesos/tandem/pkg/localmesos"
)

// testMaster names a real Mesos, host:port of its leading master. Its agents
// must run on this machine, with cgroup isolators.
const testMaster = "TANDEM_TEST_MASTER"

// patience bounds every wait of a test: long enough for a slow machine, and no
// measure of anything.
const patience = 60 * time.Second

// cluster is a Mesos to test against.
type cluster struct {
	// master is host:port.
	master string
	// real says that it is not an embedded one.
	real bool
}

// startMesos returns the Mesos that TANDEM_TEST_MASTER names or, without it, an
// embedded one, made with changed options, that ends with the test and must then
// have left nothing.
func startMesos(t *testing.T, change ...func(*localmesos.Options)) *cluster {
	t.Helper()
	if m := os.Getenv(testMaster); m != "" {
		return &cluster{master: m, real: true}
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	o := localmesos.Options{Dir: t.TempDir()}
	if err := os.Chmod(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Master.Logger, o.Agent.Logger = log, log
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := localmesos.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Errorf("cannot stop the embedded Mesos: %v", err)
		}
	})
	u, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{master: u.Host}
}

// framework is what the master's /frameworks says of one.
type framework struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Active    bool   `json:"active"`
	WebuiURL  string `json:"webui_url"`
	Principal string `json:"principal"`
	Tasks     []struct {
		ID         string `json:"id"`
		State      string `json:"state"`
		ExecutorID string `json:"executor_id"`
	} `json:"tasks"`
}

// framework returns what the master says of the framework with the ID, among
// the active ones.
func (c *cluster) framework(t *testing.T, id string) (framework, bool) {
	t.Helper()
	var all struct {
		Frameworks []framework `json:"frameworks"`
	}
	getJSON(t, "http://"+c.master+"/frameworks", &all)
	for _, f := range all.Frameworks {
		if f.ID == id {
			return f, true
		}
	}
	return framework{}, false
}

// teardown ends a framework as an operator does. It first gives tasks that are on
// their way a while to arrive: an agent never forgets an executor whose framework goes
// while it starts it, and then never ends a drain (slave.cpp: "Ignoring launching
// executor ... because the framework is terminating").
func (c *cluster) teardown(id string) error {
	for deadline := time.Now().Add(5 * time.Second); c.launching(id) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	resp, err := http.PostForm("http://"+c.master+"/teardown", url.Values{"frameworkId": {id}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the master answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// launching says whether a task of a framework is on its way to its executor.
func (c *cluster) launching(id string) bool {
	var all struct{ Frameworks []framework }
	if json.Unmarshal([]byte(try("http://"+c.master+"/frameworks")), &all) != nil {
		return false
	}
	for _, f := range all.Frameworks {
		for _, task := range f.Tasks {
			if f.ID == id && task.State == "TASK_STAGING" {
				return true
			}
		}
	}
	return false
}

func getJSON(t *testing.T, address string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(get(t, address)), into); err != nil {
		t.Fatalf("cannot read what %s answers: %v", address, err)
	}
}

func get(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", address, resp.Status, body)
	}
	return string(body)
}

// eventually waits until the condition holds, and otherwise fails the test with
// what it last said was missing.
func eventually(t *testing.T, condition func() (missing string)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		missing := condition()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %s: %s", patience, missing)
		}
	}
}

// try is get, but returns nothing where nobody answers well.
func try(address string) string {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(address)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
