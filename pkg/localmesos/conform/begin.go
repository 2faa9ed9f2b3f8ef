package conform

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// Some recordings begin when a framework is at work already, and a note says so.
// What it had done is made up after what they show of it, in begin.jsonl: a
// scenario of which only the course matters.

const (
	beginFile = "begin.jsonl"
	beginNote = "(set-up not shown: "
)

// begin plays what the scenario does not show.
func (p *player) begin(files fs.FS) error {
	if !strings.HasPrefix(p.scenario.Lines[0].Note, beginNote) {
		return nil
	}
	framework, stream := p.lastFramework()
	if framework == "" {
		return fmt.Errorf("cannot find the framework that it begins with")
	}
	master := framework[:strings.LastIndexByte(framework, '-')]
	text, err := fs.ReadFile(files, beginFile)
	if err != nil {
		return err
	}
	s := &Scenario{}
	pairs := append(p.replacements(), "FRAMEWORK", framework, "AGENT", master+"-S0", "STREAM", stream, "SCENARIO", strings.ReplaceAll(p.scenario.Name, "/", "."))
	for i, line := range strings.Split(strings.TrimSpace(strings.NewReplacer(pairs...).Replace(string(text))), "\n") {
		if err := s.add(i+1, []byte(line)); err != nil {
			return err
		}
	}
	scenario := p.scenario
	p.scenario = s
	if err := p.lines(); err != nil {
		return err
	}
	p.scenario = scenario
	// Its lines hold no more than it takes to go on, so they do differ; but all
	// must have been there.
	for _, d := range p.result.Differences {
		if strings.Contains(d.What, "replayed nothing") && !strings.Contains(d.What, "recorded nothing") && strings.HasPrefix(d.What, "event ") {
			return fmt.Errorf("cannot begin: %s", d)
		}
	}
	p.result = Result{}
	p.names.keep(framework, master+"-S0", stream)
	return nil
}

// lastFramework is the framework that the scenario tears down in the end, and
// its stream's ID.
func (p *player) lastFramework() (id, stream string) {
	for i := len(p.scenario.Lines) - 1; i >= 0; i-- {
		var call struct {
			Type        string
			FrameworkID struct{ Value string } `json:"framework_id"`
		}
		if l := p.scenario.Lines[i]; l.Dir == "request" && json.Unmarshal(l.Body, &call) == nil && call.Type == "TEARDOWN" {
			stream, _ = l.Header(wire.StreamIDHeader)
			return call.FrameworkID.Value, stream
		}
	}
	return "", ""
}

// keep forgets all identifiers but some: the recording names the others anew.
func (n *names) keep(some ...string) {
	for recorded, replayed := range n.forward {
		if !slices.Contains(some, recorded) {
			delete(n.forward, recorded)
			delete(n.back, replayed)
		}
	}
}
