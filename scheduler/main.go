// Command tandem is a team's scheduler for Apache Mesos, and the command line
// that speaks with it.
package main

import (
	"os"
	_ "time/tzdata" // a machine without time zones still knows a job's

	"github.com/tandem-mesos/tandem/scheduler/cli"
)

func main() { os.Exit(cli.Main()) }
