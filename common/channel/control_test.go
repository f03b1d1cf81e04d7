package channel

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
)

func TestControlRoundTrip(t *testing.T) {
	a, b := pipe()
	defer a.Close()
	want := &Message{Type: TypeStage, Stage: &Stage{Name: StageBuild, Recipe: "r", Command: []string{"make", "-j2"}}}
	if err := WriteControl(t.Context(), a, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadControl(t.Context(), b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestParseControlRefuses(t *testing.T) {
	for _, text := range []string{``, `[]`, `{}`, `{"type":"build"}`, `{"type":"result","build":{}}`, `{"type":5}`, "\xff"} {
		_, err := ParseControl([]byte(text))
		var p *Problem
		if !errors.As(err, &p) || p.Code != ProblemMalformed {
			t.Errorf("%q: %v", text, err)
		}
	}
	if msg, err := ParseControl([]byte(`{"type":"of the future"}`)); err != nil || msg.Type != "of the future" {
		t.Errorf("an unknown type must be left to the caller: %v, %v", msg, err)
	}
}

func TestBatchedLogsFitAndLoseNothing(t *testing.T) {
	lines := []string{"", strings.Repeat("\x01", MaxLogLine), "short", strings.Repeat("é", MaxLogLine/2)}
	for range 5000 {
		lines = append(lines, "a line of usual length")
	}
	var joined []string
	for _, msg := range BatchLog("stdout", lines) {
		data, err := json.Marshal(msg)
		if err != nil || len(data) > MaxMessage {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		joined = append(joined, msg.Log.Lines...)
	}
	if !reflect.DeepEqual(joined, lines) {
		t.Fatal("the text changed")
	}
}

// TestLongMessagesAreShortened sends messages that do not fit, each for another
// reason, and looks at what arrives.
func TestLongMessagesAreShortened(t *testing.T) {
	var artifacts []api.Artifact
	for i := range 256 {
		artifacts = append(artifacts, api.Artifact{Path: strings.Repeat("long/", 60) + strconv.Itoa(i), Size: 1, SHA256: someHash})
	}
	words := strings.Repeat("\x01é", 40_000)
	for name, msg := range map[string]*Message{
		"artifacts": {Type: TypeResult, Result: &Result{Outcome: api.OutcomeSucceeded, FlashMap: "m", Artifacts: artifacts}},
		"problem":   {Type: TypeResult, Result: &Result{Outcome: api.OutcomeBuildFailed, Problem: &Problem{Code: ProblemNoArtifacts, Message: words, Hints: []string{words, words}}}},
		"refusal":   {Type: TypeProblem, Problem: &Problem{Code: ProblemMalformed, Message: words}},
		"stage":     {Type: TypeStage, Stage: &Stage{Name: StageBuild, Command: []string{words}}},
	} {
		a, b := pipe()
		if err := WriteControl(t.Context(), a, msg); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := ReadControl(t.Context(), b)
		if err != nil || got.Type != msg.Type {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if r := got.Result; r != nil && (r.Outcome != msg.Result.Outcome || r.Delivered() != len(msg.Result.Artifacts) || r.FlashMap != msg.Result.FlashMap) {
			t.Errorf("%s: the result became %+v", name, r)
		}
		a.Close()
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add([]byte(`{"type":"log","log":{"stream":"stdout","lines":["x"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if msg, err := ParseControl(data); err == nil && msg.Type == "" {
			t.Fatal("a message without a type was accepted")
		}
	})
}
