package wire_test

import (
	"testing"
	"time"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10secs": 10 * time.Second, "1.5hrs": 90 * time.Minute, "0ns": 0, "2weeks": 14 * 24 * time.Hour, "3us": 3 * time.Microsecond,
	} {
		if got, err := wire.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":           "Invalid duration ''",
		"10":         "Invalid duration '10'",
		"bogus":      "Failed to convert '' to number",
		"-1secs":     "Failed to convert '' to number",
		"1.2.3secs":  "Failed to convert '1.2.3' to number",
		"10s":        "Unknown duration unit 's'",
		"99999weeks": "Argument out of the range that a Duration can represent due to int64_t's size limit",
	} {
		if _, err := wire.ParseDuration(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	f.Add("10secs")
	f.Add("1.5hrs")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := wire.ParseDuration(text); err == nil && d < 0 {
			t.Errorf("%q is %s", text, d)
		}
	})
}
