package core

import (
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// TestOfAChecksKindsItsTypeCounts is about checks that say more than one thing.
func TestOfAChecksKindsItsTypeCounts(t *testing.T) {
	value, path := "true", "/health"
	command := mesos.CommandInfo{Value: &value}
	health := mesos.HealthCheck{
		Command: &command, HTTP: &mesos.HealthCheck_HTTPCheckInfo{Port: 1, Path: &path}, TCP: &mesos.HealthCheck_TCPCheckInfo{Port: 2},
	}
	status := mesos.CheckInfo{
		Command: &mesos.CheckInfo_Command{Command: command}, HTTP: &mesos.CheckInfo_Http{Port: 1, Path: &path}, TCP: &mesos.CheckInfo_Tcp{Port: 2},
	}
	for name, number := range mesos.HealthCheck_Type_value {
		health.Type, status.Type = mesos.HealthCheck_Type(number), mesos.CheckInfo_Type(number)
		for of, spec := range map[string]func() (CheckSpec, bool){
			"health check": func() (CheckSpec, bool) { return healthSpec(&health) },
			"check":        func() (CheckSpec, bool) { return statusSpec(&status) },
		} {
			got, ok := spec()
			if name == "UNKNOWN" {
				if ok {
					t.Errorf("a %s of no type is taken for %+v", of, got)
				}
				continue
			}
			if !ok || (got.Command != nil) != (name == "COMMAND") || (got.HTTP != nil) != (name == "HTTP") || (got.TCP != nil) != (name == "TCP") {
				t.Errorf("a %s of type %s is %+v, %v", of, name, got, ok)
			}
		}
	}
	for name, number := range mesos.HealthCheck_Type_value {
		if _, ok := healthSpec(&mesos.HealthCheck{Type: mesos.HealthCheck_Type(number)}); ok {
			t.Errorf("a health check of type %s that says no more is taken", name)
		}
		if _, ok := statusSpec(&mesos.CheckInfo{Type: mesos.CheckInfo_Type(number)}); ok {
			t.Errorf("a check of type %s that says no more is taken", name)
		}
	}
}
