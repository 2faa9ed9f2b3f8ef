package schedule

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name, expression, zone, after string
		want                          []string
	}{
		{"every five minutes", "*/5 * * * *", "", "2026-03-01T12:02:30Z",
			[]string{"2026-03-01T12:05:00Z", "2026-03-01T12:10:00Z"}},
		{"nightly in Berlin", "30 2 * * *", "Europe/Berlin", "2026-01-10T00:00:00Z",
			[]string{"2026-01-10T01:30:00Z", "2026-01-11T01:30:00Z"}},
		{"a start that the change to summer time skips runs after it", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		{"several skipped starts are one", "*/20 2 * * *", "Europe/Berlin", "2026-03-29T00:30:00Z",
			[]string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
		{"a start in the repeated hour runs once", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"asked for within the second pass of the repeated hour", "30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z",
			[]string{"2026-10-26T01:30:00Z"}},
		{"half an hour's change", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
			[]string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		{"a day that never comes", "0 0 30 2 *", "", "2026-01-01T00:00:00Z", []string{"0001-01-01T00:00:00Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Parse(c.expression, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.after)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				at = s.Next(at)
				if got := at.Format(time.RFC3339); got != want {
					t.Fatalf("next is %s, want %s", got, want)
				}
			}
		})
	}
}

func TestLatest(t *testing.T) {
	s, err := Parse("0 * * * *", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if latest, n := s.Latest(noon, noon.Add(150*time.Minute)); !latest.Equal(noon.Add(2*time.Hour)) || n != 2 {
		t.Errorf("the latest is %s of %d", latest, n)
	}
	if latest, n := s.Latest(noon, noon.Add(59*time.Minute)); !latest.IsZero() || n != 0 {
		t.Errorf("the latest is %s of %d", latest, n)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range [][2]string{{"* * * *", ""}, {"@daily", ""}, {"61 * * * *", ""}, {"* * * * *", "Mars/Olympus"}} {
		if _, err := Parse(c[0], c[1]); err == nil {
			t.Errorf("%q in %q is accepted", c[0], c[1])
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add("*/5 2 * 3 0", "Europe/Berlin", int64(1774700000))
	f.Add("30 2 29 2 *", "America/New_York", int64(1700000000))
	f.Fuzz(func(t *testing.T, expression, zone string, seconds int64) {
		s, err := Parse(expression, zone)
		if err != nil || seconds < 0 || seconds > 4e9 {
			t.Skip()
		}
		after := time.Unix(seconds, 0)
		next := s.Next(after)
		if next.IsZero() {
			return
		}
		if !next.After(after) {
			t.Fatalf("%s follows %s", next, after)
		}
		if again := s.Next(next.Add(-time.Second)); again.After(next) {
			t.Fatalf("%s is not found from a second before, but %s", next, again)
		}
	})
}
