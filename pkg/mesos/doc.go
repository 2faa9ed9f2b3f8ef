// Package mesos holds the clients of Mesos's v1 HTTP APIs over mesos-go's
// message types: schedulerapi and executorapi, what both need, in recordio, detect
// and libprocess, and masterapi and agentapi, which look and change nothing. They know
// how Mesos answers, and have no policy: whether and when something is tried again is
// for their users to say.
package mesos
