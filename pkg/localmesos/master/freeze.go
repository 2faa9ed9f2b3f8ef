package master

// Freeze stops the master as SIGSTOP stops its process, until Thaw: whoever talks
// to it waits, and nothing is lost. It blocks until the master stands still.
func (m *Master) Freeze() {
	thaw := make(chan struct{})
	m.mu.Lock()
	frozen := m.thaw != nil || m.stopping
	if !frozen {
		m.thaw = thaw
	}
	m.mu.Unlock()
	if frozen {
		return
	}
	stands := make(chan struct{})
	m.post(func() {
		close(stands)
		<-thaw
	})
	select {
	case <-stands:
	case <-m.done:
	}
}

// Thaw ends a freeze.
func (m *Master) Thaw() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.thaw != nil {
		close(m.thaw)
		m.thaw = nil
	}
}
