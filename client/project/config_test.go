package project

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseConfig(t *testing.T) {
	got, err := ParseConfig([]byte(`
name = "blink"          # the chip
target = "esp32c3"
toolchain = "esp-idf@5.3"
tags = ["eu"]
recipe = "esp-idf"
outputs = ["build/"]
cores = 4
memory = "2G"
timeout = "10m"
`))
	want := Config{"blink", "esp32c3", "esp-idf@5.3", []string{"eu"}, "esp-idf", []string{"build"}, 4, 2048, Duration(10 * time.Minute)}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v\nwant %+v", got, err, want)
	}
	if c, err := ParseConfig(nil); err != nil || !reflect.DeepEqual(c, Config{}) {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
}

// TestSpellings: a byte order mark is skipped, and a chip has one name.
func TestSpellings(t *testing.T) {
	for _, text := range []string{"target = \"ESP32-C3\"\n", "\ufefftarget = \"esp32_c3\"\r\n"} {
		if c, err := ParseConfig([]byte(text)); err != nil || c.Target != "esp32c3" {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

func TestParseConfigErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"name = \"x\"\ntool = \"y\"\n", `line 2: unknown key "tool"`},
		{"[build]\ncores = 1\n", `line 1: unknown key "build"`},
		{"name = \"x", "line 1, column"},
		{"\ncores = \"four\"\n", "line 2, column"},
		{"memory = \"lots\"\n", `line 1, column 10: memory: "lots" is not an amount of memory`},
		{"timeout = \"10\"\n", `"10" is not a duration`},
		{"target = \"esp 32\"\n", "target:"},
		{"toolchain = \"idf@>=\"\n", "toolchain:"},
		{"tags = [\"e u\"]\n", "tags:"},
		{"cores = -1\n", "negative"},
		{"outputs = [\"../x\"]\n", "outputs:"},
		{"outputs = [\"/x\"]\n", "outputs:"},
		{"outputs = [\".\"]\n", "outputs:"},
		{"name = \"a\\nb\"\n", "name:"},
		{strings.Repeat("#", maxConfig+1), "longer than"},
	} {
		if _, err := ParseConfig([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("name = \"x\"\ncores = 4\nmemory = \"2G\"\ntimeout = \"10m\"\noutputs = [\"build\"]\n"))
	f.Add([]byte("a.b.c = 1"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text)
		if err == nil {
			if err := c.validate(); err != nil {
				t.Fatalf("accepted, and not valid: %v", err)
			}
		}
	})
}

func TestStateIsIgnoredByGit(t *testing.T) {
	dir := tree(t, map[string]string{"a.c": ""})
	p := open(t, dir)
	var keys []string
	for range 2 {
		state, err := p.State()
		if err != nil {
			t.Fatal(err)
		}
		key, err := Key(state)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
		state.Close()
	}
	if keys[0] != keys[1] || len(keys[0]) != 26 {
		t.Errorf("keys %q", keys)
	}
	if text, err := os.ReadFile(filepath.Join(dir, StateName, ".gitignore")); err != nil || string(text) != "*\n" {
		t.Errorf("%q, %v", text, err)
	}
	elsewhere := t.TempDir()
	dir = tree(t, map[string]string{"a.c": ""})
	if err := os.Symlink(elsewhere, filepath.Join(dir, StateName)); err != nil {
		t.Fatal(err)
	}
	if state, err := open(t, dir).State(); err == nil {
		state.Close()
		t.Error("a symlink that leads out was taken for the client's folder")
	}
}
