package spec

import (
	"errors"
	"fmt"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
)

// ID refuses what cannot be an ID.
func ID(id string) error {
	const longest = 255
	switch {
	case id == "":
		return errors.New("ID must not be empty")
	case len(id) > longest:
		return fmt.Errorf("ID must not be greater than %d characters", longest)
	case id == "." || id == "..":
		return fmt.Errorf("'%s' is disallowed", id)
	}
	for i := 0; i < len(id); i++ {
		if ch := id[i]; ch < ' ' || ch == 0x7f || ch == '/' || ch == '\\' {
			return fmt.Errorf("'%s' contains invalid characters", id)
		}
	}
	return nil
}

// Command says what is wrong with a command, or nothing.
func Command(c *mesos.CommandInfo) error {
	for _, v := range c.GetEnvironment().GetVariables() {
		if err := variable(&v); err != nil {
			return err
		}
	}
	return nil
}

func variable(v *mesos.Environment_Variable) error {
	switch v.GetType() {
	case mesos.Environment_Variable_SECRET:
		if v.Secret == nil {
			return fmt.Errorf("Environment variable '%s' of type 'SECRET' must have a secret set", v.Name)
		}
		if v.Value != nil {
			return fmt.Errorf("Environment variable '%s' of type 'SECRET' must not have a value set", v.Name)
		}
		if err := secret(v.Secret); err != nil {
			return fmt.Errorf("Environment variable '%s' specifies an invalid secret: %w", v.Name, err)
		}
		if strings.ContainsRune(string(v.Secret.GetValue().GetData()), 0) {
			return fmt.Errorf("Environment variable '%s' specifies a secret containing null bytes, which is not allowed in the environment", v.Name)
		}
	case mesos.Environment_Variable_VALUE:
		if v.Value == nil {
			return fmt.Errorf("Environment variable '%s' of type 'VALUE' must have a value set", v.Name)
		}
		if v.Secret != nil {
			return fmt.Errorf("Environment variable '%s' of type 'VALUE' must not have a secret set", v.Name)
		}
	default:
		return errors.New("Environment variable of type 'UNKNOWN' is not allowed")
	}
	return nil
}

func secret(s *mesos.Secret) error {
	switch s.GetType() {
	case mesos.Secret_REFERENCE:
		if s.Reference == nil {
			return errors.New("Secret of type REFERENCE must have the 'reference' field set")
		}
		if s.Value != nil {
			return fmt.Errorf("Secret '%s' of type REFERENCE must not have the 'value' field set", s.Reference.Name)
		}
	case mesos.Secret_VALUE:
		if s.Value == nil {
			return errors.New("Secret of type VALUE must have the 'value' field set")
		}
		if s.Reference != nil {
			return errors.New("Secret of type VALUE must not have the 'reference' field set")
		}
	}
	return nil
}

// Container says what is wrong with the description of a container, or nothing.
func Container(c *mesos.ContainerInfo) error {
	for i := range c.Volumes {
		if err := volume(&c.Volumes[i]); err != nil {
			return fmt.Errorf("Invalid volume: %w", err)
		}
	}
	if c.GetType() == mesos.ContainerInfo_DOCKER {
		if c.Docker == nil {
			return errors.New("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo")
		}
		for _, p := range c.Docker.Parameters {
			if p.Key == "name" {
				return errors.New("Parameter in DockerInfo must not be 'name'")
			}
		}
	}
	return nil
}

func volume(v *mesos.Volume) error {
	set := 0
	for _, is := range []bool{v.HostPath != nil, v.Image != nil, v.Source != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return errors.New("Only one of them should be set: 'host_path', 'image' and 'source'")
	}
	if v.Source == nil {
		return nil
	}
	switch v.Source.Type {
	case mesos.Volume_Source_DOCKER_VOLUME:
		if v.Source.DockerVolume == nil {
			return errors.New("'source.docker_volume' is not set for DOCKER_VOLUME volume")
		}
	case mesos.Volume_Source_HOST_PATH:
		if v.Source.HostPath == nil {
			return errors.New("'source.host_path' is not set for HOST_PATH volume")
		}
	case mesos.Volume_Source_SANDBOX_PATH:
		if v.Source.SandboxPath == nil {
			return errors.New("'source.sandbox_path' is not set for SANDBOX_PATH volume")
		}
	case mesos.Volume_Source_SECRET:
		if v.Source.Secret == nil {
			return errors.New("'source.secret' is not set for SECRET volume")
		}
	default:
		return errors.New("'source.type' is unknown")
	}
	return nil
}

// commandKind names what a check's command lacks.
func commandKind(c *mesos.CommandInfo) string {
	if c.GetShell() {
		return "'shell command'"
	}
	return "'executable path'"
}

// HealthCheck says what is wrong with a health check, or nothing.
func HealthCheck(h *mesos.HealthCheck) error {
	switch h.Type {
	case mesos.HealthCheck_COMMAND:
		if h.Command == nil {
			return errors.New("Expecting 'command' to be set for COMMAND health check")
		}
		if h.Command.Value == nil {
			return fmt.Errorf("Command health check must contain %s", commandKind(h.Command))
		}
		if err := Command(h.Command); err != nil {
			return fmt.Errorf("Health check's `CommandInfo` is invalid: %w", err)
		}
	case mesos.HealthCheck_HTTP:
		if h.HTTP == nil {
			return errors.New("Expecting 'http' to be set for HTTP health check")
		}
		if scheme := h.HTTP.Scheme; scheme != nil && *scheme != "http" && *scheme != "https" {
			return fmt.Errorf("Unsupported HTTP health check scheme: '%s'", *scheme)
		}
		if path := h.HTTP.Path; path != nil && !strings.HasPrefix(*path, "/") {
			return fmt.Errorf("The path '%s' of HTTP health check must start with '/'", *path)
		}
	case mesos.HealthCheck_TCP:
		if h.TCP == nil {
			return errors.New("Expecting 'tcp' to be set for TCP health check")
		}
	default:
		return errors.New("HealthCheck must specify 'type'")
	}
	return notNegative(
		seconds{"delay_seconds", h.DelaySeconds},
		seconds{"grace_period_seconds", h.GracePeriodSeconds},
		seconds{"interval_seconds", h.IntervalSeconds},
		seconds{"timeout_seconds", h.TimeoutSeconds})
}

// Check says what is wrong with a check, or nothing.
func Check(c *mesos.CheckInfo) error {
	switch c.Type {
	case mesos.CheckInfo_COMMAND:
		if c.Command == nil {
			return errors.New("Expecting 'command' to be set for COMMAND check")
		}
		run := &c.Command.Command
		if run.Value == nil {
			return fmt.Errorf("Command check must contain %s", commandKind(run))
		}
		if err := Command(run); err != nil {
			return fmt.Errorf("Check's `CommandInfo` is invalid: %w", err)
		}
	case mesos.CheckInfo_HTTP:
		if c.HTTP == nil {
			return errors.New("Expecting 'http' to be set for HTTP check")
		}
		if path := c.HTTP.Path; path != nil && !strings.HasPrefix(*path, "/") {
			return fmt.Errorf("The path '%s' of HTTP check must start with '/'", *path)
		}
	case mesos.CheckInfo_TCP:
		if c.TCP == nil {
			return errors.New("Expecting 'tcp' to be set for TCP check")
		}
	default:
		return errors.New("CheckInfo must specify 'type'")
	}
	return notNegative(
		seconds{"delay_seconds", c.DelaySeconds},
		seconds{"interval_seconds", c.IntervalSeconds},
		seconds{"timeout_seconds", c.TimeoutSeconds})
}

type seconds struct {
	field string
	value *float64
}

func notNegative(all ...seconds) error {
	for _, s := range all {
		if s.value != nil && *s.value < 0 {
			return fmt.Errorf("Expecting '%s' to be non-negative", s.field)
		}
	}
	return nil
}
