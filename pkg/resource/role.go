package resource

import (
	"fmt"
	"strings"
)

// AnyRole is the role of what is reserved for nobody.
const AnyRole = "*"

// ValidateRole refuses what is no role name, with the text of a real master
// (src/common/roles.cpp).
func ValidateRole(role string) error {
	switch {
	case role == AnyRole:
		return nil
	case strings.HasPrefix(role, "/"):
		return fmt.Errorf("Role '%s' cannot start with a slash", role)
	case strings.HasSuffix(role, "/"):
		return fmt.Errorf("Role '%s' cannot end with a slash", role)
	case strings.Contains(role, "//"):
		return fmt.Errorf("Role '%s' cannot contain two adjacent slashes", role)
	case role == "":
		return fmt.Errorf("Role names cannot be the empty string")
	}
	for component := range strings.SplitSeq(role, "/") {
		switch {
		case component == "." || component == ".." || component == AnyRole:
			return fmt.Errorf("Role '%s' cannot include '%s' as a component", role, component)
		case strings.HasPrefix(component, "-"):
			return fmt.Errorf("Role component '%s' is invalid because it starts with a dash", component)
		case strings.ContainsAny(component, "\x09\x0a\x0b\x0c\x0d\x20\x7f"):
			return fmt.Errorf("Role component '%s' is invalid because it contains backspace or whitespace", component)
		}
	}
	return nil
}

// IsSubrole tells whether a role lies strictly below another: a/b below a.
func IsSubrole(role, ancestor string) bool {
	return len(role) > len(ancestor) && role[len(ancestor)] == '/' && strings.HasPrefix(role, ancestor)
}
