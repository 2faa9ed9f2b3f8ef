package detect

import (
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/tandem-mesos/tandem/pkg/zookeeper"
)

func TestParse(t *testing.T) {
	list := func(a ...string) Masters { return Masters{List: a} }
	ensemble := func(credentials, path string, servers ...string) Masters {
		return Masters{ZooKeeper: &zookeeper.URL{Credentials: credentials, Servers: servers, Path: path}}
	}
	for _, c := range []struct {
		in   string
		want Masters
		// err is a part of the error, if there is to be one.
		err string
	}{
		{in: "127.0.0.1:5050", want: list("127.0.0.1:5050")},
		{in: "  master.example ", want: list("master.example:5050")},
		{in: "a:5050, b:5051,c", want: list("a:5050", "b:5051", "c:5050")},
		{in: "[::1]", want: list("[::1]:5050")},
		{in: "[fd00::7]:5051", want: list("[fd00::7]:5051")},
		{in: "zk://zk1:2181,zk2:2182/mesos", want: ensemble("", "/mesos", "zk1:2181", "zk2:2182")},
		{in: "zk://zk1,zk2/clusters/one/", want: ensemble("", "/clusters/one", "zk1:2181", "zk2:2181")},
		{in: "zk://ops:s3cret@zk1:2181/mesos", want: ensemble("ops:s3cret", "/mesos", "zk1:2181")},
		{in: "zk://ops:p@ss:w@zk1/mesos", want: ensemble("ops:p@ss:w", "/mesos", "zk1:2181")},
		{in: "", err: "no master is named"},
		{in: "a,,b", err: "an address of the list is empty"},
		{in: ":5050", err: `":5050" is not an address`},
		{in: "::1", err: `"::1" is not an address`},
		{in: "a:0", err: `"a:0" has no port between 1 and 65535`},
		{in: "a:http", err: `"a:http" has no port`},
		{in: "a:5050/mesos", err: "is not an address"},
		{in: "http://a:5050", err: "not by http://"},
		{in: "zk://zk1:2181", err: "has no path"},
		{in: "zk://zk1:2181/", err: "has no path"},
		{in: "zk:///mesos", err: "an address of the list is empty"},
		{in: "zk://zk1/a//b", err: "a path that ZooKeeper does not allow: \"/a//b\""},
		{in: "zk://zk1/a/../b", err: "a path that ZooKeeper does not allow"},
		{in: "zk://zk1/a b", err: "a path that ZooKeeper does not allow"},
		{in: "zk://s3cret@zk1/mesos", err: "not of the form user:password"},
	} {
		got, err := Parse(c.in)
		switch {
		case c.err == "" && (err != nil || !reflect.DeepEqual(got, c.want)):
			t.Errorf("%q: got %+v, %v, want %+v", c.in, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%q: got %v, want an error with %q", c.in, err, c.err)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%q: the error has the password in it: %v", c.in, err)
		}
	}
}

func TestAZooKeeperURLShownHasNoPassword(t *testing.T) {
	u := zookeeper.URL{Credentials: "ops:s3cret", Servers: []string{"zk1:2181", "zk2:2181"}, Path: "/mesos"}
	if got, want := u.String(), "zk://ops:***@zk1:2181,zk2:2181/mesos"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a:1,b", "zk://u:p@a:1,b/c", "[::1]:5", "zk://@/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := Parse(s)
		if err != nil {
			return
		}
		addresses := m.List
		if m.ZooKeeper != nil {
			addresses = m.ZooKeeper.Servers
			if again, err := Parse(strings.Replace(m.ZooKeeper.String(), "***", "p", 1)); err != nil || again.ZooKeeper.Path != m.ZooKeeper.Path {
				t.Errorf("%q becomes %s, which is refused: %v", s, m.ZooKeeper, err)
			}
		}
		if len(addresses) == 0 {
			t.Errorf("%q has no addresses", s)
		}
		for _, a := range addresses {
			if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
				t.Errorf("%q has the address %q: %v", s, a, err)
			}
		}
	})
}

// leaderInfo is the data of a real master's znode.
const leaderInfo = `{"address":{"hostname":"127.0.0.1","ip":"127.0.0.1","port":5250},"capabilities":[{"type":"AGENT_UPDATE"},` +
	`{"type":"AGENT_DRAINING"},{"type":"QUOTA_V2"}],"hostname":"127.0.0.1","id":"b97872a1-f152-44ce-8266-bff1066ace7a",` +
	`"ip":16777343,"pid":"master@127.0.0.1:5250","port":5250,"version":"1.12.0"}`

func TestMasterAddress(t *testing.T) {
	for _, c := range []struct{ data, want, err string }{
		{leaderInfo, "127.0.0.1:5250", ""},
		{`{"address":{"hostname":"m1.example","ip":"10.0.0.5","port":5050}}`, "10.0.0.5:5050", ""},
		{`{"address":{"hostname":"m1.example","ip":"0.0.0.0","port":5050}}`, "m1.example:5050", ""},
		{`{"address":{"ip":"fd00::7","port":5050}}`, "[fd00::7]:5050", ""},
		{`{"address":{"ip":"10.0.0.5","port":0}}`, "", "no address with a host and a port"},
		{`{"address":{"ip":"10.0.0.5","port":65536}}`, "", "no address with a host and a port"},
		{`{"ip":16777343,"port":5250}`, "", "no address with a host and a port"},
		{`{}`, "", "no address"},
		{``, "", "not a MasterInfo in JSON"},
		{"\n\x24b97872a1", "", "not a MasterInfo in JSON"},
	} {
		got, err := masterAddress([]byte(c.data))
		if got != c.want || (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: got %q, %v, want %q, %q", c.data, got, err, c.want, c.err)
		}
	}
}

func FuzzMasterAddress(f *testing.F) {
	f.Add([]byte(leaderInfo))
	f.Add([]byte(`{"address":{"ip":"::","hostname":"a:b","port":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := masterAddress(data)
		if err != nil {
			return
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			t.Errorf("%q gives the address %q: %v", data, a, err)
		}
	})
}

func TestLowest(t *testing.T) {
	for _, c := range []struct {
		children []string
		want     string
	}{
		{nil, ""},
		{[]string{"log_replicas"}, ""},
		{[]string{"json.info_0000000012", "log_replicas", "json.info_0000000003"}, "json.info_0000000003"},
		// An old master's znode, and one that is none.
		{[]string{"info_0000000001", "json.info_x", "json.info_0000000002"}, "json.info_0000000002"},
	} {
		if got := lowest(c.children); got != c.want {
			t.Errorf("%v: got %q, want %q", c.children, got, c.want)
		}
	}
}
