package workload

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// Numbers are those of a user that a workload can run as.
type Numbers struct {
	Name     string
	UID, GID int
	// Groups are all its groups, GID among them.
	Groups []int
}

// LookUp returns the numbers behind a [Spec.User], a user's name or number.
// It returns nil where there is nobody to become: the name is empty, or is that
// of an executor that is not root and could become nobody else. Its errors are
// those of [Launcher.Start].
func LookUp(name string) (*Numbers, error) {
	if name == "" {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		if _, numeric := strconv.Atoi(name); numeric == nil {
			u, err = user.LookupId(name)
		}
	}
	if err != nil {
		if errors.As(err, new(user.UnknownUserError)) || errors.As(err, new(user.UnknownUserIdError)) {
			return nil, fmt.Errorf("there is no user %q on this agent", name)
		}
		return nil, fmt.Errorf("cannot look up the user %q: %w", name, err)
	}
	id := Numbers{Name: u.Username}
	id.UID, err = strconv.Atoi(u.Uid)
	if err == nil {
		id.GID, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot use the user %q: %w", name, err)
	}
	if own := os.Geteuid(); own != 0 {
		if own == id.UID {
			return nil, nil
		}
		return nil, fmt.Errorf("cannot run as user %q: the executor runs as user number %d and only root may run programs as others", name, own)
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("cannot look up the groups of user %q: %w", name, err)
	}
	id.Groups = []int{id.GID}
	for _, g := range groups {
		n, err := strconv.Atoi(g)
		if err != nil {
			return nil, fmt.Errorf("cannot use group %q of user %q: %w", g, name, err)
		}
		if !slices.Contains(id.Groups, n) {
			id.Groups = append(id.Groups, n)
		}
	}
	return &id, nil
}

// Identity returns the numbers of who a workload runs as, nil for the executor's own
// user. Its errors are those of [LookUp].
func (s *Spec) Identity() (*Numbers, error) {
	if s.Numbers != nil {
		return s.Numbers, nil
	}
	return LookUp(s.User)
}
