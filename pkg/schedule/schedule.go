// Package schedule computes when a cron expression falls due in a time zone.
//
// An expression has five fields: minute, hour, day of month, month and day of
// week. It speaks of civil time, and where clocks are changed a start that the
// change skips falls on the first minute after it, and one that it repeats
// happens once, the first time.
//
// The package must never look at the present time: callers bring it.
package schedule

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // so that a machine without time zones knows them too

	"github.com/robfig/cron/v3"
)

// Schedule is a cron expression in a time zone.
type Schedule struct {
	civil    cron.Schedule // in UTC, which stands for civil time
	location *time.Location
}

// Parse reads an expression of five fields and the name of a time zone; no name
// means UTC.
func Parse(expression, zone string) (*Schedule, error) {
	if zone == "Local" {
		return nil, errors.New(`time zone "Local" is another on every machine`)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return nil, fmt.Errorf("cannot use time zone %q: %w", zone, err)
	}
	civil, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("cannot read schedule %q: %w", expression, err)
	}
	if s, ok := civil.(*cron.SpecSchedule); ok {
		s.Location = time.UTC
	}
	return &Schedule{civil, location}, nil
}

// Next returns the first start after a time, in UTC. It is zero when there is
// none within the five years that follow, as for the 30th of February.
func (s *Schedule) Next(after time.Time) time.Time {
	local := after.In(s.location)
	civil := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), 0, time.UTC)
	for {
		civil = s.civil.Next(civil)
		if civil.IsZero() {
			return time.Time{}
		}
		if at := s.instant(civil); at.After(after) {
			return at.UTC()
		}
	}
}

// Latest returns the last start that is after one time and not after another,
// and how many there are in between; it is zero when there is none.
func (s *Schedule) Latest(after, until time.Time) (latest time.Time, starts int) {
	for at := s.Next(after); !at.IsZero() && !at.After(until); at = s.Next(at) {
		latest = at
		starts++
	}
	return latest, starts
}

// instant is when a civil time, given as one in UTC, is: the first time where
// it is twice, and the end of the gap where it never is.
func (s *Schedule) instant(civil time.Time) time.Time {
	offsetAt := func(t time.Time) time.Duration {
		_, seconds := t.In(s.location).Zone()
		return time.Duration(seconds) * time.Second
	}
	// No zone changes its clocks twice within two days.
	before, after := offsetAt(civil.Add(-24*time.Hour)), offsetAt(civil.Add(24*time.Hour))
	early, late := civil.Add(-max(before, after)), civil.Add(-min(before, after))
	for _, t := range [2]time.Time{early, late} {
		if t.Add(offsetAt(t)).Equal(civil) {
			return t
		}
	}
	start, _ := late.In(s.location).ZoneBounds()
	return start
}
