package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are those in which Mesos writes durations.
var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "secs": time.Second,
	"mins": time.Minute, "hrs": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// parseDuration reads a duration as Mesos writes it: a decimal number and a
// unit without a space, such as 15mins or 2.5secs.
func parseDuration(text string) (time.Duration, error) {
	unit := strings.TrimLeft(text, "0123456789.")
	number, err := strconv.ParseFloat(strings.TrimSuffix(text, unit), 64)
	size, known := units[unit]
	if err != nil || !known {
		return 0, fmt.Errorf("%q is no duration such as 15mins, 2secs or 250ms", text)
	}
	d := number * float64(size)
	if d >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return time.Duration(d), nil
}
