package tomltext

import (
	"errors"
	"strings"
	"testing"
)

type sample struct {
	Name   string
	Needs  []string
	Size   uint32
	Ready  bool
	Env    map[string]string
	Images []struct{ Offset uint32 }
	Flash  struct{ Mode string }
}

func TestMistakesInWords(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		line       int
	}{
		{"name = 3", "name is a number, not a text", 1},
		{"\nneeds = \"gcc\"", "needs is a text, not a list of texts", 2},
		{"needs = [1]", "needs is a number, not a text", 1},
		{"size = \"4MB\"", "size is a text, not a number", 1},
		{"ready = \"yes\"", "ready is a text, not true or false", 1},
		{"env = 1", "env is a number, not a table", 1},
		{"env = { A = 1 }", "env is a number, not a text", 1},
		{"images = [{ offset = \"x\" }]", "images is a text, not a number", 1},
		{"flash = true", "flash is true or false, not a table", 1},
		{"name = \"a\"\nname = \"b\"", "name: key name is already defined", 2},
		{"nmae = \"a\"", `unknown key "nmae"`, 1},
		{"[flash]\nmod = \"dio\"", `unknown key "flash.mod"`, 2},
	} {
		var m *Mistake
		err := Decode([]byte(tt.text), &sample{})
		if !errors.As(err, &m) || m.Error() != tt.want || m.Line != tt.line {
			t.Errorf("%q: %v at line %d, want %q at line %d", tt.text, err, m.Line, tt.want, tt.line)
		}
		if (m.Unknown != "") != strings.HasPrefix(tt.want, "unknown") {
			t.Errorf("%q: unknown key %q", tt.text, m.Unknown)
		}
	}
}

func TestByteOrderMark(t *testing.T) {
	var s sample
	if err := Decode([]byte("\ufeffname = \"lamp\""), &s); err != nil || s.Name != "lamp" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := Decode([]byte("\xff\xfen\x00"), &s); err == nil {
		t.Error("a text in UTF-16 is accepted")
	}
}

// FuzzDecode checks that no text makes the decoder or its descriptions panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("name = 3"))
	f.Add([]byte("[flash]\nmode = \"dio\"\n[[images]]\noffset = 0x1000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m *Mistake
		if err := Decode(data, &sample{}); errors.As(err, &m) && m.Error() == "" {
			t.Error("a mistake without words")
		}
	})
}
