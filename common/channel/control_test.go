package channel

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestControlGoesThereAndBack(t *testing.T) {
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

func TestControlThatIsRefused(t *testing.T) {
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

func TestSplitLogLosesNothing(t *testing.T) {
	lines := []string{"", strings.Repeat("\x01", 3*MaxLogLine), "short", strings.Repeat("é", MaxLogLine)}
	for range 5000 {
		lines = append(lines, "a line of usual length")
	}
	var joined strings.Builder
	for _, msg := range SplitLog("stdout", lines) {
		data, err := json.Marshal(msg)
		if err != nil || len(data) > MaxMessage {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		for _, line := range msg.Log.Lines {
			if !utf8.ValidString(line) {
				t.Fatal("a character was cut in two")
			}
			joined.WriteString(line)
		}
	}
	if joined.String() != strings.Join(lines, "") {
		t.Fatal("the text changed")
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
