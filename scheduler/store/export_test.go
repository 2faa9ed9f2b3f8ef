package store

// OpenSmall opens a store whose journals are full at the size.
func OpenSmall(dir string, journalSize int64) (*Bolt, error) {
	b, err := OpenBolt(dir)
	if err == nil {
		b.journalSize = journalSize
	}
	return b, err
}

// Crash leaves the files as a process that is killed does, but for what a
// goroutine has begun, which goes on to its end.
func (b *Bolt) Crash() error {
	b.failed = true
	return b.Close()
}

// ReadJournal reads the content of a journal, of which nothing is applied.
func ReadJournal(content []byte) error {
	_, err := readJournal("journal", content, 0, func([]byte) {})
	return err
}
