package convert

import (
	"fmt"
	"slices"
	"strings"

	tandemv1 "github.com/tandem-mesos/tandem/proto/tandem/v1"
)

// appPorts takes the ports of an app from wherever they stand. Where a container has port
// mappings these are the ports: what stands beside them, as Marathon 1.4 and older give it,
// says the mappings' service ports once more.
func appPorts(o object) []*tandemv1.Port {
	if mapped := mappedPorts(o); len(mapped) > 0 {
		o.forget("portDefinitions", "ports", "requirePorts")
		return mapped
	}
	byDefault := hasDefaultPort(o)
	fixed := o.yes("requirePorts")
	var ports []*tandemv1.Port
	add := func(at object, name string, host int32) {
		if !fixed && host != 0 {
			at.remark("", "the port %d is one for load balancers; on the agent any port is taken, as requirePorts is false", host)
			host = 0
		}
		ports = withPort(ports, name, host)
	}
	for _, p := range o.objects("portDefinitions") {
		add(p, p.text("name"), p.whole("port", 0))
		p.leave("labels", "left out: ports have no labels; use the job's")
		p.forget("protocol")
		p.rest()
	}
	if len(ports) > 0 {
		o.forget("ports")
	}
	for i, v := range o.list("ports") {
		at := o.below(fmt.Sprintf("ports[%d]", i), map[string]any{"port": v})
		add(at, "", at.whole("port", 0))
	}
	if byDefault {
		ports = withPort(ports, "", 0)
	}
	return ports
}

// hasDefaultPort reports whether an app uses the one port that Marathon gives to each
// that has the agent's network and states none.
func hasDefaultPort(o object) bool {
	docker := map[string]any{}
	if c, ok := asObject(o.keys["container"]); ok {
		docker, _ = c.keys["docker"].(map[string]any)
	}
	if o.keys["portDefinitions"] != nil || o.keys["ports"] != nil || o.keys["ipAddress"] != nil || docker["network"] != nil && docker["network"] != "HOST" {
		return false
	}
	for _, entry := range anyList(o.keys["networks"]) {
		if n, ok := asObject(entry); ok && n.keys["mode"] != "host" {
			return false
		}
	}
	for _, entry := range anyList(o.keys["healthChecks"]) {
		if check, ok := asObject(entry); ok && check.keys["protocol"] != "COMMAND" {
			return true
		}
	}
	commands := fmt.Sprint(o.keys["cmd"], o.keys["args"])
	return strings.Contains(commands, "$PORT") || strings.Contains(commands, "${PORT")
}

// mappedPorts takes those of a container's mappings, whose host ports are always meant.
func mappedPorts(o object) []*tandemv1.Port {
	var ports []*tandemv1.Port
	c, _ := asObject(o.keys["container"])
	docker, _ := asObject(c.keys["docker"])
	for _, mappings := range []object{c, docker} {
		for _, entry := range anyList(mappings.keys["portMappings"]) {
			if m, ok := asObject(entry); ok {
				ports = withPort(ports, m.text("name"), m.whole("hostPort", 0))
			}
		}
	}
	return ports
}

// withPort adds a port under a name of its own.
func withPort(ports []*tandemv1.Port, name string, host int32) []*tandemv1.Port {
	if name = word(name); name == "" {
		name = fmt.Sprintf("port%d", len(ports))
	}
	var taken []string
	for _, p := range ports {
		taken = append(taken, p.Name)
	}
	return append(ports, &tandemv1.Port{Name: unique(name, taken), HostPort: host})
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}

// portName returns the name of the port with the number in the list.
func portName(w *tandemv1.Workload, i int32) string {
	if i < 0 || int(i) >= len(w.Ports) {
		return ""
	}
	return w.Ports[i].Name
}

func hasPort(w *tandemv1.Workload, name string) bool {
	return slices.ContainsFunc(w.Ports, func(p *tandemv1.Port) bool { return p.Name == name })
}
