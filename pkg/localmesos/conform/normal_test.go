package conform

import (
	"slices"
	"testing"
	"time"
)

const (
	recordedMaster = "2fd8720a-d95b-449a-bf80-d74edacf3aac"
	replayedMaster = "85dce4de-f961-4092-916b-add715204e07"
)

// TestCompare holds what is a difference and what is not.
func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		recorded, replayed string
		want               []string
	}{
		"alike":     {`{"a":[1,"x"],"b":8.0}`, `{"b":8.0,"a":[1,"x"]}`, nil},
		"a value":   {`{"state":"TASK_LOST"}`, `{"state":"TASK_GONE"}`, []string{`state: recorded "TASK_LOST", replayed "TASK_GONE"`}},
		"left out":  {`{"a":{"b":1}}`, `{"a":{}}`, []string{`a.b: recorded 1, replayed nothing`}},
		"too much":  {`[1]`, `[1,2]`, []string{`[1]: recorded nothing, replayed 2`}},
		"a time":    {`{"timestamp":1.5}`, `{"timestamp":2.5}`, nil},
		"no time":   {`{"timestamp":1.5}`, `{}`, []string{`timestamp: recorded 1.5, replayed nothing`}},
		"whole":     {`{"cpus":8.0}`, `{"cpus":8}`, []string{`cpus: recorded 8.0, replayed 8`}},
		"rounding":  {`{"cpus":7.6}`, `{"cpus":7.6000000000000005}`, nil},
		"measured":  {`{"limitation":{"value":128.0}}`, `{"limitation":{"value":128.0078125}}`, nil},
		"a hash":    {`{"x":{"executors":[{"id":"a"},{"id":"b"}]}}`, `{"x":{"executors":[{"id":"b"},{"id":"a"}]}}`, nil},
		"an order":  {`{"x":["a","b"]}`, `{"x":["b","a"]}`, []string{`x[0]: recorded "a", replayed "b"`, `x[1]: recorded "b", replayed "a"`}},
		"an ID":     {`["` + recordedMaster + `-O1","` + recordedMaster + `-O1"]`, `["` + replayedMaster + `-O7","` + replayedMaster + `-O7"]`, nil},
		"in a text": {`"Offer ` + recordedMaster + `-O1 is"`, `"Offer ` + replayedMaster + `-O7 is"`, nil},
		"two for one": {
			`["` + recordedMaster + `-O1","` + recordedMaster + `-O1"]`, `["` + replayedMaster + `-O7","` + replayedMaster + `-O8"]`,
			[]string{`[1]: recorded "` + recordedMaster + `-O1", replayed "` + replayedMaster + `-O8"`},
		},
		"one for two": {
			`["` + recordedMaster + `-O1","` + recordedMaster + `-O2"]`, `["` + replayedMaster + `-O7","` + replayedMaster + `-O7"]`,
			[]string{`[1]: recorded "` + recordedMaster + `-O2", replayed "` + replayedMaster + `-O7"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newNames().compare([]byte(c.recorded), []byte(c.replayed), true); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestTimesThatWereSent holds that a time that an executor set must come back.
func TestTimesThatWereSent(t *testing.T) {
	n := newNames()
	n.remember(`{"timestamp":1795412010.380184}`)
	if got := n.compare([]byte(`{"timestamp":1795412010.380184}`), []byte(`{"timestamp":1.5}`), true); len(got) != 1 {
		t.Errorf("got %q, want one difference", got)
	}
}

// TestTranslate holds that requests name what the replay made, and what nobody
// made stays.
func TestTranslate(t *testing.T) {
	n := newNames()
	n.alike(recordedMaster+"-O1", replayedMaster+"-O7", true)
	got := n.translate(recordedMaster + "-O1 " + recordedMaster + "-O2")
	if want := replayedMaster + "-O7 " + recordedMaster + "-O2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestClock holds that timers run at their times, those that they set included.
func TestClock(t *testing.T) {
	zero := time.Unix(1000, 0)
	c := newClock(zero)
	var ran []time.Duration
	note := func() { ran = append(ran, c.Now().Sub(zero)) }
	c.AfterFunc(3*time.Second, note)
	c.AfterFunc(time.Second, func() {
		note()
		c.AfterFunc(time.Second, note)
	})
	stop := c.AfterFunc(2*time.Second, note)
	stop()
	c.advance(zero.Add(2*time.Second), func() {})
	if want := []time.Duration{time.Second, 2 * time.Second}; !slices.Equal(ran, want) {
		t.Errorf("ran at %v, want %v", ran, want)
	}
}

// TestReadListed holds the form of the list of differences.
func TestReadListed(t *testing.T) {
	for line, want := range map[string]Listed{
		"launch/05-invalid-executor 40-53 offers : too soon": {"launch/05-invalid-executor", 40, 53, "offers", "too soon", false},
		"status/01-fields 7 * : because: so":                 {"status/01-fields", 7, 7, "", "because: so", false},
		"status/01-fields 8 * : by chance, since so":         {"status/01-fields", 8, 8, "", "by chance, since so", true},
		"auth/04-acls * * : there are no ACLs":               {"auth/04-acls", 0, 0, "", "there are no ACLs", false},
	} {
		if got, err := readListed(line); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{"status/01-fields 7 no reason", "status/01-fields x * : y", "a : b"} {
		if _, err := readListed(line); err == nil {
			t.Errorf("%s is taken", line)
		}
	}
}
