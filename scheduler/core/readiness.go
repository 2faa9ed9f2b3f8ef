package core

import mesos "github.com/mesos/mesos-go/api/v1/lib"

// passed reads the result of a task's check, as Mesos's own executors report it
// (CheckStatusInfo in mesos.proto): a command passes with exit status 0, HTTP
// with a status from 200 to 399, TCP when the connection was made. A result
// without a value, as there is before the first check and after one that took
// too long or could not be made, is no pass.
func passed(s *mesos.CheckStatusInfo) bool {
	switch {
	case s.Command != nil:
		return s.Command.ExitCode != nil && *s.Command.ExitCode == 0
	case s.HTTP != nil:
		code := s.HTTP.GetStatusCode()
		return code >= 200 && code < 400
	}
	return s.TCP.GetSucceeded()
}
