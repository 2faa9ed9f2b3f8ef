package workload

// Numbers are those of a user that a workload can run as.
type Numbers struct {
	UID, GID int
	// Groups are all its groups, GID among them.
	Groups []int
}

// LookUp returns the numbers behind a [Spec.User], for those who make files for
// it, and nil where the workload runs as the executor's own user. Its errors are
// those of [Launcher.Start].
func LookUp(user string) (*Numbers, error) {
	id, err := findUser(user)
	if id == nil || err != nil {
		return nil, err
	}
	return &Numbers{UID: id.UID, GID: id.GID, Groups: id.Groups}, nil
}
