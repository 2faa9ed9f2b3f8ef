package master

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosmaster "github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// What operators ask of the master as a program: its flags, logging, files and
// registry; and of its roles.

// missing refuses a call without what it is about.
func missing(field string) error {
	return wire.BadRequest("Failed to validate master::Call: Expecting '%s' to be present", field)
}

// answer makes the response to a call that is not about the core; nil for all
// others.
func (m *Master) answer(call *mesosmaster.Call) (*mesosmaster.Response, error) {
	switch call.Type {
	case mesosmaster.Call_GET_LOGGING_LEVEL:
		return &mesosmaster.Response{
			Type:            mesosmaster.Response_GET_LOGGING_LEVEL,
			GetLoggingLevel: &mesosmaster.Response_GetLoggingLevel{Level: uint32(m.process.Level())},
		}, nil
	case mesosmaster.Call_LIST_FILES:
		return m.listFiles(call.ListFiles)
	case mesosmaster.Call_READ_FILE:
		return m.readFile(call.ReadFile)
	}
	return nil, nil
}

// setLoggingLevel makes the call of that name.
func (m *Master) setLoggingLevel(w http.ResponseWriter, call *mesosmaster.Call_SetLoggingLevel, who viewer) error {
	if call == nil {
		return missing("set_logging_level")
	}
	if err := who.allowedAny(acl.SetLogLevel); err != nil {
		return err
	}
	m.process.SetLevel(int(call.Level), time.Duration(call.Duration.Nanoseconds))
	wire.WriteEmpty(w, http.StatusOK)
	return nil
}

func (m *Master) listFiles(call *mesosmaster.Call_ListFiles) (*mesosmaster.Response, error) {
	if call == nil {
		return nil, missing("list_files")
	}
	infos, err := m.files.List(call.Path, "")
	if err != nil {
		return nil, err
	}
	return &mesosmaster.Response{Type: mesosmaster.Response_LIST_FILES, ListFiles: &mesosmaster.Response_ListFiles{FileInfos: infos}}, nil
}

func (m *Master) readFile(call *mesosmaster.Call_ReadFile) (*mesosmaster.Response, error) {
	if call == nil {
		return nil, missing("read_file")
	}
	length := int64(-1)
	if call.Length != nil {
		length = int64(*call.Length)
	}
	data, size, err := m.files.Read(call.Path, "", int64(call.Offset), length)
	if err != nil {
		return nil, err
	}
	return &mesosmaster.Response{
		Type: mesosmaster.Response_READ_FILE, ReadFile: &mesosmaster.Response_ReadFile{Size_: uint64(size), Data: data},
	}, nil
}

func (c *core) getFlags(who viewer) (*mesosmaster.Response, error) {
	if !who.seesFlags() {
		return nil, errForbidden
	}
	flags := c.flags()
	out := new(mesosmaster.Response_GetFlags)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		out.Flags = append(out.Flags, mesos.Flag{Name: name, Value: new(flags[name])})
	}
	return &mesosmaster.Response{Type: mesosmaster.Response_GET_FLAGS, GetFlags: out}, nil
}

// showRegistry shows what of the registry is about the master and its agents.
func showRegistry(v view, _ url.Values) {
	info := v.core.info
	v.BeginObject()
	v.Key("master")
	v.BeginObject()
	v.Key("info")
	v.message(&info)
	v.EndObject()
	v.Key("slaves")
	v.BeginObject()
	v.list("slaves", func() {
		for _, agent := range v.core.registry().Agents {
			v.BeginObject()
			v.flag("deactivated", v.core.deactivated[agentID(agent.ID.Value)])
			v.Key("info")
			v.message(&agent)
			v.EndObject()
		}
	})
	v.EndObject()
	v.EndObject()
}
