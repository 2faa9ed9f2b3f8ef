// Package durable makes changes of directories outlast a power cut. It must
// never decide what is written.
package durable

import "os"

// SyncDir makes durable what was made, renamed or removed in a directory. A file
// that was synced can still be lost with its entry.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
