package wire

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// units are those of durations, as stout writes them.
var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "secs": time.Second, "mins": time.Minute,
	"hrs": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// ParseDuration reads a duration as Mesos writes it, such as 10secs or 1.5hrs. The
// errors are those of stout (duration.hpp), which end up in answers.
func ParseDuration(text string) (time.Duration, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		//lint:ignore ST1005 a real Mesos's text
		return 0, fmt.Errorf("Invalid duration '%s'", text)
	}
	value, err := strconv.ParseFloat(text[:end], 64)
	if err != nil {
		//lint:ignore ST1005 a real Mesos's text
		return 0, fmt.Errorf("Failed to convert '%s' to number", text[:end])
	}
	unit, ok := units[text[end:]]
	if !ok {
		//lint:ignore ST1005 a real Mesos's text
		return 0, fmt.Errorf("Unknown duration unit '%s'", text[end:])
	}
	if nanos := value * float64(unit); nanos < math.MaxInt64 {
		return time.Duration(nanos), nil
	}
	//lint:ignore ST1005 a real Mesos's text
	return 0, fmt.Errorf("Argument out of the range that a Duration can represent due to int64_t's size limit")
}
