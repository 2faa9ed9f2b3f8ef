package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/spf13/pflag"
)

func TestConfigFile(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"all kinds", "# a team's scheduler\nmaster: [10.0.0.1:5050, 10.0.0.2:5050]\nfailover-timeout: 24h\nname: web\n", ""},
		{"nothing", "# later\n", ""},
		{"an unknown key", "nam: web\nfailover: 1h\n", `F:1:1: nam: unknown key; did you mean "name"?` + "\nF:2:1: failover: unknown key"},
		{"a wrong value", "failover-timeout: soon\n", `F:1:1: failover-timeout: time: invalid duration "soon"`},
		{"a mapping", "failover-timeout: {a: b}\n", "F:1:1: failover-timeout: a plain value is asked for"},
		{"a list", "- name\n", "F:1:1: a mapping of flags' names to values is asked for, such as master: 10.0.0.1:5050"},
		{"no YAML", "name: [\n", "F:2:1: not YAML: did not find expected node content"},
		{"itself", "config: other.yaml\n", "F:1:1: config: unknown key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flags := pflag.NewFlagSet("scheduler", pflag.ContinueOnError)
			masters := flags.StringSlice("master", nil, "")
			timeout := flags.Duration("failover-timeout", time.Hour, "")
			name := flags.String("name", "tandem", "")
			flags.String("config", "", "")
			// What stands on the command line wins.
			if err := flags.Parse([]string{"--name", "mine"}); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "tandem.yaml")
			if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := fromFile(flags, file); err != nil {
				got = strings.ReplaceAll(err.Error(), file, "F")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.name == "all kinds" && (len(*masters) != 2 || *timeout != 24*time.Hour || *name != "mine") {
				t.Errorf("master %q, failover-timeout %s, name %q", *masters, *timeout, *name)
			}
		})
	}
}

// TestExampleConfig: the scheduler takes every key of the examples.
func TestExampleConfig(t *testing.T) {
	for _, example := range []string{"scheduler.yaml", "scheduler-shared.yaml"} {
		var stderr bytes.Buffer
		status := Run(t.Context(), []string{"scheduler", "--config", "../../examples/operations/" + example, "--listen", "nowhere"}, System{
			Stdout: io.Discard, Stderr: &stderr, Getenv: func(string) (string, bool) { return "", false }, Now: time.Now,
		})
		if want := "tandem: --listen: \"nowhere\" is not an address of the form host:port\n"; stderr.String() != want || status == 0 {
			t.Errorf("%s: exit %d: %s", example, status, &stderr)
		}
	}
}

// TestConfigIsReadAgain: the log level holds at once, what else has changed is
// told, and what was given otherwise stays.
func TestConfigIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yaml")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, hook := logtest.NewNullLogger()
	running := newScheduler(&System{}).Flags()
	if err := running.Set("master", "10.0.0.1:5050"); err != nil {
		t.Fatal(err)
	}
	given := changed(running)
	write("master: 10.0.0.9:5050\nname: web\nlog-level: info\n")
	if err := fromFile(running, file); err != nil {
		t.Fatal(err)
	}
	write("master: 10.0.0.8:5050\nname: shop\nlog-level: debug\n")
	if err := reread(&System{}, running, given, file, log); err != nil || log.GetLevel() != logrus.DebugLevel {
		t.Errorf("%v, the level is %v", err, log.GetLevel())
	}
	if n := len(hook.AllEntries()); n != 1 || hook.LastEntry().Message != file+": name has changed, which takes effect at the next start" {
		t.Errorf("%d lines were logged", n)
	}
	write("log-level: loud\n")
	if err := reread(&System{}, running, given, file, log); err == nil || log.GetLevel() != logrus.DebugLevel {
		t.Errorf("%v, the level is %v", err, log.GetLevel())
	}
}
