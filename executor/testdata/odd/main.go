// Odd is what an executor may be asked to replace itself by and should not. What it
// does is compiled into it.
package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// mode and file are set by the linker.
var mode, file string

func main() {
	state, _ := io.ReadAll(os.Stdin)
	switch {
	case mode == "old":
		fmt.Fprintln(os.Stderr, "flag provided but not defined: -can-adopt")
		os.Exit(2)
	case mode == "curious":
		fmt.Fprintln(os.Stderr, os.Getenv("MESOS_EXECUTOR_ID"))
		os.Exit(2)
	case len(state) == 0:
		// It says that it knows the format.
	case mode == "gone":
		_ = os.Chmod("/proc/self/exe", 0)
	case mode == "slow":
		_ = os.WriteFile(file, nil, 0o644)
		for {
			if _, err := os.Stat(file + ".go"); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Fprintln(os.Stderr, "it would rather not")
		os.Exit(1)
	}
}
