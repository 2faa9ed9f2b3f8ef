package core

import (
	"strconv"
	"time"
)

// FormatDuration writes a duration as Mesos does: in the largest unit that
// holds it in whole numbers, such as 10secs, 1mins or 1weeks
// (3rdparty/stout/include/stout/duration.hpp).
func FormatDuration(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
	}{
		{"weeks", 7 * 24 * time.Hour}, {"days", 24 * time.Hour}, {"hrs", time.Hour}, {"mins", time.Minute},
		{"secs", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
	}
	for _, u := range units {
		if d != 0 && d%u.size == 0 {
			return strconv.FormatInt(int64(d/u.size), 10) + u.name
		}
	}
	return "0ns"
}
