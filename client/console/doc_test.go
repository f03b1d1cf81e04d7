package console

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// objects are the objects of --json, by event.
var objects = map[string]func() any{
	"grant":      func() any { return new(grantEvent) },
	"explained":  func() any { return new(explainedEvent) },
	"waiting":    func() any { return new(waitingEvent) },
	"connected":  func() any { return new(connectedEvent) },
	"project":    func() any { return new(projectEvent) },
	"finding":    func() any { return new(findingEvent) },
	"stage":      func() any { return new(stageEvent) },
	"log":        func() any { return new(logEvent) },
	"notice":     func() any { return new(noticeEvent) },
	"upload":     func() any { return new(transferEvent) },
	"download":   func() any { return new(transferEvent) },
	"canceling":  func() any { return new(plainEvent) },
	"agent":      func() any { return new(agentEvent) },
	"agent_gone": func() any { return new(agentGoneEvent) },
	"compared":   func() any { return new(comparedEvent) },
	"board":      func() any { return new(boardEvent) },
	"flash":      func() any { return new(flashEvent) },
	"file":       func() any { return new(fileEvent) },
	"monitor":    func() any { return new(monitorEvent) },
	"rendezvous": func() any { return new(reachedEvent) },
	"way":        func() any { return new(Way) },
	"error":      func() any { return new(errorEvent) },
	"result":     func() any { return new(Report) },
}

// TestExamplesOfJSON reads each example of the document into its object and writes it
// again: nothing is lost or added.
func TestExamplesOfJSON(t *testing.T) {
	text, err := os.ReadFile("../../doc/client-json.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1) {
		for line := range strings.Lines(string(block[1])) {
			line = strings.TrimSpace(line)
			var head struct{ Event string }
			if err := json.Unmarshal([]byte(line), &head); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			blank, ok := objects[head.Event]
			if !ok {
				t.Errorf("there is no event %q", head.Event)
				continue
			}
			object := blank()
			decoder := json.NewDecoder(strings.NewReader(line))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(object); err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			var again bytes.Buffer
			c := New(Options{Stdout: &again, Stderr: &again, JSON: true, Getenv: os.Getenv})
			c.emit(object)
			if got := strings.TrimSpace(again.String()); got != line {
				t.Errorf("the document has %s\nthe client writes  %s", line, got)
			}
			seen[head.Event] = true
		}
	}
	for event := range objects {
		if !seen[event] {
			t.Errorf("the document has no example of %q", event)
		}
	}
}
