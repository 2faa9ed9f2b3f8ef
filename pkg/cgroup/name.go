package cgroup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	namePrefixTask = "task-"
	longestName    = 255 // NAME_MAX
)

// dirName turns a task id into the name of a directory. The prefix keeps the
// name apart from the kernel's own files ("memory.max" is a good task id) and
// from the names that mean something to an agent. Different ids give different
// names, those that are too long by their hash.
func dirName(task string) string {
	var b strings.Builder
	b.WriteString(namePrefixTask)
	for _, c := range []byte(task) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':', c == '@', c == '+':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	name := b.String()
	if len(name) > longestName {
		sum := sha256.Sum256([]byte(task))
		// A tilde is escaped above, so no short name looks like this.
		tail := "~" + hex.EncodeToString(sum[:16])
		name = name[:longestName-len(tail)] + tail
	}
	return name
}
