package validation

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tandem-mesos/tandem/pkg/localmesos/spec"
	"github.com/tandem-mesos/tandem/pkg/resource"
)

// HasCapability tells whether the framework has a capability.
func HasCapability(info *mesos.FrameworkInfo, c mesos.FrameworkInfo_Capability_Type) bool {
	return slices.ContainsFunc(info.Capabilities, func(has mesos.FrameworkInfo_Capability) bool { return has.Type == c })
}

// Roles returns the framework's roles, whichever field they are in.
func Roles(info *mesos.FrameworkInfo) []string {
	if HasCapability(info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		return info.Roles
	}
	return []string{info.GetRole()}
}

// Framework looks at a framework's description.
func Framework(info *mesos.FrameworkInfo) error {
	if err := roles(info); err != nil {
		return err
	}
	if id := frameworkID(info.ID); id != "" {
		if err := spec.ID(id); err != nil {
			return err
		}
	}
	for _, filters := range info.OfferFilters {
		if err := offerFilters(&filters); err != nil {
			return err
		}
	}
	return failoverTimeout(info.GetFailoverTimeout())
}

func roles(info *mesos.FrameworkInfo) error {
	if !HasCapability(info, mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		if len(info.Roles) > 0 {
			return errors.New("'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable")
		}
		if err := resource.ValidateRole(info.GetRole()); err != nil {
			return fmt.Errorf("'FrameworkInfo.role' is not a valid role: %w", err)
		}
		return nil
	}
	if info.Role != nil {
		return errors.New("'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable")
	}
	var duplicates []string
	for i, role := range info.Roles {
		if slices.Contains(info.Roles[:i], role) && !slices.Contains(duplicates, role) {
			duplicates = append(duplicates, role)
		}
	}
	if len(duplicates) > 0 {
		return fmt.Errorf("'FrameworkInfo.roles' contains duplicate items: { %s }", strings.Join(duplicates, ", "))
	}
	for _, role := range info.Roles {
		if err := resource.ValidateRole(role); err != nil {
			return fmt.Errorf("'FrameworkInfo.roles' contains invalid role: %w", err)
		}
	}
	return nil
}

func offerFilters(filters *mesos.OfferFilters) error {
	minimum := filters.MinAllocatableResources
	if minimum == nil {
		return nil
	}
	for _, quantities := range minimum.Quantities {
		if len(quantities.Quantities) == 0 {
			return errors.New("Resource quantities must contain at least one quantity")
		}
		for name, q := range quantities.Quantities {
			if err := scalar(q.Value); err != nil {
				return fmt.Errorf("Invalid resource quantity for '%s': %w", name, err)
			}
		}
	}
	return nil
}

func scalar(value float64) error {
	switch {
	case math.IsInf(value, 0):
		return errors.New("Infinite values not supported")
	case math.IsNaN(value):
		return errors.New("NaN not supported")
	case value < 0:
		return errors.New("Negative values not supported")
	}
	return nil
}

// maxSeconds is what a Duration of Mesos, in nanoseconds, can hold.
const maxSeconds = math.MaxInt64 / 1e9

// Seconds tells whether Mesos can take the number for a duration.
func Seconds(s float64) bool { return s >= -maxSeconds && s <= maxSeconds }

// formatted writes a number as C++ does.
func formatted(n float64) string {
	return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(n, 'g', 6, 64), "+"))
}

func failoverTimeout(seconds float64) error {
	if !Seconds(seconds) {
		return fmt.Errorf("The framework failover_timeout (%s) is invalid", formatted(seconds))
	}
	return nil
}

// Update looks at a change of a framework's description by UPDATE_FRAMEWORK.
func Update(old, changed *mesos.FrameworkInfo) error {
	if err := Principal(old, changed); err != nil {
		return err
	}
	if old.User != changed.User {
		return fmt.Errorf("Updating 'FrameworkInfo.user' is unsupported; attempted to update from '%s' to '%s'", old.User, changed.User)
	}
	if old.GetCheckpoint() != changed.GetCheckpoint() {
		return fmt.Errorf("Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '%t' to '%t'", old.GetCheckpoint(), changed.GetCheckpoint())
	}
	return nil
}

// Principal refuses a change of the framework's principal.
func Principal(old, changed *mesos.FrameworkInfo) error {
	if (old.Principal == nil) != (changed.Principal == nil) || old.GetPrincipal() != changed.GetPrincipal() {
		return errors.New("Changing framework's principal is not allowed.")
	}
	return nil
}

// SuppressedRoles refuses roles that the framework does not have.
func SuppressedRoles(roles, suppressed []string) error {
	var unknown []string
	for _, role := range suppressed {
		if !slices.Contains(roles, role) {
			unknown = append(unknown, role)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("Suppressed roles { %s } are not contained in the set of roles", strings.Join(slices.Compact(unknown), ", "))
}
