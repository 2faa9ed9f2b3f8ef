package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

// An entry can be read in either format of the log.
func TestEntriesInTheLog(t *testing.T) {
	write := func(format logrus.Formatter) string {
		var out bytes.Buffer
		log := logrus.New()
		log.SetOutput(&out)
		log.SetFormatter(format)
		l, err := Open("", log)
		if err != nil {
			t.Fatal(err)
		}
		l.Write(Entry{Who: "token:ci", Call: "SubmitJob", Result: "ok"})
		return out.String()
	}

	text := write(&logrus.TextFormatter{DisableColors: true, DisableQuote: true})
	if !strings.Contains(text, `"who":"token:ci"`) || !strings.Contains(text, `"call":"SubmitJob"`) {
		t.Errorf("the text does not show the entry: %s", text)
	}

	var line struct{ Audit Entry }
	if err := json.Unmarshal([]byte(write(&logrus.JSONFormatter{})), &line); err != nil {
		t.Fatal(err)
	}
	if line.Audit.Who != "token:ci" || line.Audit.Call != "SubmitJob" {
		t.Errorf("the object does not hold the entry: %+v", line)
	}
}
