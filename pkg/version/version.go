// Package version names the build that is running. It must never import
// anything of Tandem's.
package version

// Version is set by the linker (see the Makefile). A program built by plain
// `go build` calls itself "devel".
var Version = "devel"
