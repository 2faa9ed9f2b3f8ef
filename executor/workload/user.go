package workload

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// identity is whom a workload runs as.
type identity struct {
	Name     string
	UID, GID int
	Groups   []int
}

// findUser looks a user up by name or by number. It returns nil where there is
// nobody to become: the name is empty, or is that of an executor that is not
// root and could become nobody else.
func findUser(name string) (*identity, error) {
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
	id := identity{Name: u.Username}
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

// assume makes the whole process this user's, for good.
func (id *identity) assume() error {
	err := syscall.Setgroups(id.Groups)
	if err == nil {
		err = syscall.Setresgid(id.GID, id.GID, id.GID)
	}
	if err == nil {
		err = syscall.Setresuid(id.UID, id.UID, id.UID)
	}
	if err != nil {
		return fmt.Errorf("cannot become user %q: %w", id.Name, err)
	}
	return nil
}
