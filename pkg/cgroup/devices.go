package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// deviceRules writes rules as a person reads them, one a line.
func deviceRules(rules []specs.LinuxDeviceCgroup) string {
	lines := make([]string, len(rules))
	for i, d := range rules {
		verb, kind := "deny", d.Type
		if d.Allow {
			verb = "allow"
		}
		if kind == "" {
			kind = "a"
		}
		lines[i] = fmt.Sprintf("%s %s %s:%s %s", verb, kind, deviceNumber(d.Major), deviceNumber(d.Minor), deviceAccess(d))
	}
	return strings.Join(lines, "\n")
}

// deviceNumber writes half of a device's number; what is absent or negative is any.
func deviceNumber(n *int64) string {
	if n == nil || *n < 0 {
		return "*"
	}
	return strconv.FormatInt(*n, 10)
}

func deviceAccess(d specs.LinuxDeviceCgroup) string {
	if d.Access == "" {
		return "rwm"
	}
	return d.Access
}

// deviceException is one of v1: the accesses to devices of one kind for which the
// verdict about all devices does not hold.
type deviceException struct {
	kind         string // "b" or "c"
	major, minor string // "*" for any
	access       string
}

// String returns the exception as the kernel reads it.
func (e deviceException) String() string {
	return fmt.Sprintf("%s %s:%s %s", e.kind, e.major, e.minor, e.access)
}

// covers says whether all devices that o speaks of are e's, and meets whether any is.
func (e deviceException) covers(o deviceException) bool {
	return e.kind == o.kind && (e.major == "*" || e.major == o.major) && (e.minor == "*" || e.minor == o.minor)
}

func (e deviceException) meets(o deviceException) bool {
	either := func(a, b string) bool { return a == b || a == "*" || b == "*" }
	return e.kind == o.kind && either(e.major, o.major) && either(e.minor, o.minor)
}

// deviceExceptions finds the one verdict about all devices and the exceptions from it
// that mean what rules mean of which the last one decides. It is not ok when there
// are none: a rule takes back a part of what an exception says.
func deviceExceptions(rules []specs.LinuxDeviceCgroup) (allowed bool, exceptions []deviceException, ok bool) {
	allowed = true // What no rule speaks of is as it is for the cgroup above.
	for _, d := range rules {
		rule := deviceException{kind: d.Type, major: deviceNumber(d.Major), minor: deviceNumber(d.Minor), access: deviceAccess(d)}
		kinds := []string{d.Type}
		if d.Type == "" || d.Type == "a" {
			if rule.major == "*" && rule.minor == "*" && len(rule.access) == len("rwm") {
				allowed, exceptions = d.Allow, nil
				continue
			}
			// The kernel takes what follows an "a" for everything.
			kinds = []string{"b", "c"}
		}
		for _, rule.kind = range kinds {
			if d.Allow != allowed {
				exceptions = append(exceptions, rule)
			} else if exceptions, ok = without(exceptions, rule); !ok {
				return false, nil, false
			}
		}
	}
	return allowed, exceptions, true
}

// without returns what is left of exceptions of which a rule takes some back.
func without(exceptions []deviceException, rule deviceException) (left []deviceException, ok bool) {
	for _, e := range exceptions {
		rest := strings.Map(func(c rune) rune {
			if strings.ContainsRune(rule.access, c) {
				return -1
			}
			return c
		}, e.access)
		switch {
		case rest == e.access || !rule.meets(e):
			left = append(left, e)
		case !rule.covers(e):
			return nil, false
		case rest != "":
			e.access = rest
			left = append(left, e)
		}
	}
	return left, true
}
