// Package integration holds the whole-system tests: the real binaries against
// an embedded Mesos or, where TANDEM_TEST_MASTER names one, a real one. It must
// never hold a test that only localmesos can pass; those are localmesos's own.
package integration
