package agent

import (
	"errors"
	"io"
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	mesosagent "github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tandem-mesos/tandem/pkg/localmesos/acl"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/container"
	"github.com/tandem-mesos/tandem/pkg/localmesos/agent/switchboard"
	"github.com/tandem-mesos/tandem/pkg/localmesos/wire"
)

// connect puts a switchboard between a container and the files in its spec.
func (a *Agent) connect(id string, tty *mesos.TTYInfo, spec *container.Spec, patient bool) (*switchboard.Switchboard, error) {
	board, err := switchboard.New(tty, spec.Stdout, spec.Stderr, patient)
	if err != nil {
		return nil, err
	}
	spec.Stdin, spec.Stdout, spec.Stderr, spec.TTY = board.Stdin, board.Stdout, board.Stderr, tty != nil
	a.inputs.post(func(time.Time) { a.boards[id] = board })
	return board, nil
}

// disconnect ends a switchboard when its container is gone.
func (a *Agent) disconnect(id string, board *switchboard.Switchboard) {
	board.Close()
	a.inputs.post(func(time.Time) { delete(a.boards, id) })
}

// board finds the switchboard of a container.
func (a *Agent) board(id mesos.ContainerID) (*switchboard.Switchboard, error) {
	var board *switchboard.Switchboard
	there := false
	known, ok := ask(a, func(time.Time) bool {
		board = a.boards[dotted(id)]
		there = id.Parent == nil || a.nested[dotted(id)] != nil
		return a.containers[root(id)] != nil
	})
	switch {
	case !ok:
		return nil, wire.Unavailable("Agent has not finished recovery")
	case !known:
		return nil, &wire.Error{Status: http.StatusNotFound, Text: "Container " + dotted(id) + " cannot be found"}
	case !there:
		return nil, wire.Internal("Unknown container " + dotted(id))
	case board == nil:
		return nil, wire.Internal("I/O switchboard server was disabled for this container")
	}
	return board, nil
}

func (a *Agent) attachOutput(w http.ResponseWriter, r *http.Request, id mesos.ContainerID) error {
	media, err := wire.AcceptStream(w, r)
	if err != nil {
		return err
	}
	if err := a.mayAttach(a.operator(r), id, acl.AttachContainersOutput); err != nil {
		return err
	}
	board, err := a.board(id)
	if err != nil {
		return err
	}
	return a.serveOutput(w, r, media, board)
}

func (a *Agent) serveOutput(w http.ResponseWriter, r *http.Request, media wire.MediaType, board *switchboard.Switchboard) error {
	output := board.Attach()
	defer board.Detach(output)
	if err := a.schema.ServeRecords(w, r, media, output); err != nil {
		a.log.WithError(err).Debug("an attached client went away")
	}
	return nil
}

// inputLinger is how long a client may still send when its container has ended.
const inputLinger = time.Second

// attachInput serves ATTACH_CONTAINER_INPUT, the one call that is a stream.
func (a *Agent) attachInput(w http.ResponseWriter, r *http.Request) error {
	media, err := wire.StreamOf(r)
	if err != nil {
		return err
	}
	records := wire.NewRecordReader(r.Body)
	call, err := a.nextInput(records, media)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return wire.BadRequest("Received EOF while reading request body")
	}
	if err != nil {
		return err
	}
	if call.Type != mesosagent.Call_ATTACH_CONTAINER_INPUT {
		return &wire.Error{
			Status: http.StatusUnsupportedMediaType,
			Text:   "Streaming 'Content-Type' application/recordio is not supported for " + call.Type.String() + " call",
		}
	}
	first := call.AttachContainerInput
	if first.Type != mesosagent.Call_AttachContainerInput_CONTAINER_ID {
		return wire.BadRequest("Expecting 'attach_container_input.type' to be CONTAINER_ID")
	}
	if err := a.mayAttach(a.operator(r), *first.ContainerID, acl.AttachContainersInput); err != nil {
		return err
	}
	board, err := a.board(*first.ContainerID)
	if err != nil {
		return err
	}
	if !board.Take() {
		return &wire.Error{Status: http.StatusConflict, Text: "Multiple input connections are not allowed"}
	}
	defer board.Leave()
	return a.feed(w, board, records, media)
}

// feed gives a container what comes, until the client or the container ends; the
// answer comes at the end.
func (a *Agent) feed(w http.ResponseWriter, board *switchboard.Switchboard, records *wire.RecordReader, media wire.MediaType) error {
	connection := http.NewResponseController(w)
	// The answer must not wait for the rest of the request.
	_ = connection.EnableFullDuplex()
	w.Header().Set("Connection", "close")
	finished := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-finished:
		case <-board.Done():
			_ = connection.SetReadDeadline(time.Now().Add(inputLinger))
			<-finished
		}
		_ = connection.SetReadDeadline(time.Now())
	}()
	defer func() {
		close(finished)
		<-stopped
	}()
	for {
		call, err := a.nextInput(records, media)
		if err == nil {
			err = give(board, call.AttachContainerInput)
		}
		select {
		case <-board.Done():
			err = io.EOF
		default:
		}
		if errors.Is(err, io.EOF) {
			wire.WriteEmpty(w, http.StatusOK)
			return connection.Flush()
		}
		if err != nil {
			return err
		}
	}
}

// nextInput reads a call; the error is io.EOF at the end.
func (a *Agent) nextInput(records *wire.RecordReader, media wire.MediaType) (*mesosagent.Call, error) {
	record, err := records.Next()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if err != nil {
		return nil, wire.BadRequest("%s", err)
	}
	call := &mesosagent.Call{}
	there, err := a.schema.Decode(media, record, call, "")
	if err != nil {
		return nil, wire.BadRequest("%s", err)
	}
	if text := invalidInput(call, there); text != "" {
		return nil, wire.BadRequest("Failed to validate agent::Call: %s", text)
	}
	return call, nil
}

// invalidInput says what is wrong with a message of the input, or nothing.
func invalidInput(call *mesosagent.Call, there wire.Presence) string {
	in := call.AttachContainerInput
	switch {
	case !there.Has("type"):
		return "Expecting 'type' to be present"
	case call.Type != mesosagent.Call_ATTACH_CONTAINER_INPUT:
		return ""
	case in == nil:
		return "Expecting 'attach_container_input' to be present"
	case !there.Has("attach_container_input", "type"):
		return "Expecting 'attach_container_input.type' to be present"
	case in.Type == mesosagent.Call_AttachContainerInput_UNKNOWN:
		return "'attach_container_input.type' is unknown"
	case in.Type == mesosagent.Call_AttachContainerInput_CONTAINER_ID:
		if in.ContainerID == nil {
			in.ContainerID = &mesos.ContainerID{}
		}
		return invalidID("attach_container_input", *in.ContainerID, false)
	}
	return ""
}

// give carries out one message of the input.
func give(board *switchboard.Switchboard, in *mesosagent.Call_AttachContainerInput) error {
	if in.GetType() != mesosagent.Call_AttachContainerInput_PROCESS_IO {
		return wire.BadRequest("Expecting 'attach_container_input.type' to be 'PROCESS_IO' instead of: '%s'", in.GetType())
	}
	message := in.ProcessIO
	switch {
	case message == nil:
		return wire.BadRequest("Expecting 'attach_container_input.process_io' to be present")
	case message.Type == mesosagent.ProcessIO_DATA:
		return giveData(board, message.Data)
	case message.Type == mesosagent.ProcessIO_CONTROL:
		return control(board, message.Control)
	}
	return wire.BadRequest("'process_io.type' is unknown")
}

func giveData(board *switchboard.Switchboard, data *mesosagent.ProcessIO_Data) error {
	switch {
	case data == nil:
		return wire.BadRequest("Expecting 'process_io.data' to be present")
	case data.Type != mesosagent.ProcessIO_Data_STDIN:
		return wire.BadRequest("Expecting 'process_io.data.type' to be 'STDIN'")
	case data.Data == nil:
		return wire.BadRequest("Expecting 'process_io.data.data' to be present")
	}
	if err := board.Write(data.Data); err != nil {
		return wire.Internal("Failed writing to stdin: " + err.Error())
	}
	return nil
}

func control(board *switchboard.Switchboard, c *mesosagent.ProcessIO_Control) error {
	switch {
	case c == nil:
		return wire.BadRequest("Expecting 'process_io.control' to be present")
	case c.Type == mesosagent.ProcessIO_Control_HEARTBEAT && c.Heartbeat == nil:
		return wire.BadRequest("Expecting 'process_io.control.heartbeat' to be present")
	case c.Type == mesosagent.ProcessIO_Control_HEARTBEAT:
		return nil
	case c.Type != mesosagent.ProcessIO_Control_TTY_INFO:
		return wire.BadRequest("'process_io.control.type' is unknown")
	case c.TTYInfo == nil:
		return wire.BadRequest("Expecting 'process_io.control.tty_info' to be present")
	case c.TTYInfo.WindowSize == nil:
		return wire.BadRequest("Expecting 'tty_info.window_size' to be present")
	}
	size := c.TTYInfo.WindowSize
	if err := board.Resize(size.Rows, size.Columns); err != nil {
		return wire.BadRequest("Unable to set the window size: %s", reason(err))
	}
	return nil
}
