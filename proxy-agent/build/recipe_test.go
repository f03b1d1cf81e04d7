package build

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/farforge/farforge/proxy-agent/sandbox"
)

const minimal = `name = "r"
targets = ["esp32"]
[toolchain]
name = "cc"
detect = [["cc", "--version"]]
version = '([0-9.]+)'
[project]
files = ["Makefile"]
[build]
command = ["make"]
[artifacts]
files = ["*.bin"]
`

// caching is the minimal recipe with a cache.
var caching = strings.Replace(minimal, `command = ["make"]`, "command = [\"make\"]\ncache = true\nenv = { CACHE = \"{cache}\" }", 1)

func TestMinimalRecipe(t *testing.T) {
	r, err := Parse("r.toml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	if r.Build.Out != "build" || r.Source != "r.toml" || r.Flash.declared() {
		t.Errorf("got %+v", r)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown key", `name = "r"`, "name = \"r\"\nnmae = 1", `r.toml:2: unknown key "nmae"`},
		{"unknown nested key", `files = ["Makefile"]`, `filez = ["Makefile"]`, `r.toml:8: unknown key "project.filez"`},
		{"wrong type", `targets = ["esp32"]`, `targets = 5`, "r.toml:2: targets"},
		{"not TOML", `name = "r"`, `name = "r`, "r.toml:1: "},
		{"no name", `name = "r"`, "", "r.toml: name:"},
		{"odd name", `name = "r"`, `name = "../r"`, "r.toml: name:"},
		{"no target", `["esp32"]`, `[]`, "targets: none"},
		{"odd target", `["esp32"]`, `["esp 32"]`, `"esp 32" is not a chip`},
		{"no detection", `[["cc", "--version"]]`, `[]`, "toolchain.detect"},
		{"empty detection", `[["cc", "--version"]]`, `[[]]`, "toolchain.detect"},
		{"broken regexp", `'([0-9.]+)'`, `'([0-9.]+'`, "toolchain.version"},
		{"regexp without group", `'([0-9.]+)'`, `'[0-9.]+'`, "0 groups"},
		{"relative tool path", "name = \"cc\"", "name = \"cc\"\npaths = [\"opt\"]", "toolchain.paths"},
		{"tool path that is all", "name = \"cc\"", "name = \"cc\"\npaths = [\"/\"]", "toolchain.paths"},
		{"recognizes all", `files = ["Makefile"]`, ``, "every directory"},
		{"recognizes outside", `["Makefile"]`, `["../Makefile"]`, "project.files"},
		{"no command", `["make"]`, `[]`, "build.command"},
		{"unknown placeholder", `["make"]`, `["make", "{home}"]`, "unknown placeholder {home}"},
		{"unknown placeholder in env", `["make"]`, "[\"make\"]\nenv = { A = \"{b}\" }", "build.env.A"},
		{"cache not enabled", `["make"]`, `["make", "C={cache}"]`, "build.command: {cache} has no meaning here"},
		{"cache not enabled in env", `["make"]`, "[\"make\"]\nenv = { A = \"{cache}\" }", "build.env.A: {cache} has no meaning here"},
		{"cache unused", `["make"]`, "[\"make\"]\ncache = true", "build.cache: neither command nor env has {cache}"},
		{"cache is a string", `["make"]`, "[\"make\"]\ncache = \"yes\"", "r.toml:11: build.cache"},
		{"out leaves", `["make"]`, "[\"make\"]\nout = \"../out\"", "build.out"},
		{"out is the project", `["make"]`, "[\"make\"]\nout = \".\"", "build.out"},
		{"no artifacts", `["*.bin"]`, `[]`, "artifacts.files"},
		{"artifact outside", `["*.bin"]`, `["../*.bin"]`, `"../*.bin"`},
		{"broken pattern", `["*.bin"]`, `["[.bin"]`, `"[.bin"`},
		{"two flash maps", `["*.bin"]`, "[\"*.bin\"]\n[flash]\nflasher_args = \"f\"\nmode = \"dio\"", "flasher_args excludes"},
		{"odd offset", `["*.bin"]`, "[\"*.bin\"]\n[flash]\nimages = [{offset = 5, file = \"a\"}]", "flash.images"},
		{"offset twice", `["*.bin"]`, "[\"*.bin\"]\n[flash]\nimages = [{offset = 0, file = \"a\"}, {offset = 0, file = \"b\"}]", "two images"},
		{"negative offset", `["*.bin"]`, "[\"*.bin\"]\n[flash]\nimages = [{offset = -1, file = \"a\"}]", "r.toml:14"},
	} {
		text := strings.Replace(minimal, c.old, c.new, 1)
		if text == minimal {
			t.Fatalf("%s: nothing was replaced", c.name)
		}
		if _, err := Parse("r.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := Parse("r.toml", []byte(minimal+strings.Repeat("#", MaxRecipeSize))); err == nil {
		t.Error("a recipe of any length is read")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	own, err := shipped.ReadFile("recipes/esp32c3-baremetal.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte(caching))
	f.Add([]byte(strings.Replace(minimal, `["make"]`, "[\"make\", \"{cache}/{cache}\"]\ncache = true", 1)))
	f.Add([]byte(strings.Replace(minimal, `["make"]`, "[\"make\", \"{cache}\"]\ncache = false", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse("fuzz", data)
		if err != nil {
			return
		}
		if _, err := (&Choice{Entry: Entry{Recipe: r}, Target: r.Targets[0]}).Command(sandbox.None{}, Allowance{Cores: 1, Cache: "/cache"}); err != nil {
			t.Errorf("an accepted recipe has a command that cannot be expanded: %v", err)
		}
	})
}

func TestPlaceholders(t *testing.T) {
	v := Values{Target: "esp32c3", Cores: 4, Out: "build", Cache: "/cache"}
	for in, want := range map[string]string{
		"-j{cores}": "-j4", "{out}/{target}.bin": "build/esp32c3.bin", "{}": "{}", "{ x }": "{ x }", "plain": "plain",
		"{cache}/x": "/cache/x",
	} {
		if got, err := v.expand(in); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestLoadPutsTheOperatorsRecipesFirst(t *testing.T) {
	dir := t.TempDir()
	own := strings.Replace(minimal, `"r"`, `"esp32c3-baremetal"`, 1)
	write(t, filepath.Join(dir, "a.toml"), minimal)
	write(t, filepath.Join(dir, "b.toml"), own)
	write(t, filepath.Join(dir, "notes.txt"), "not a recipe")
	recipes, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range recipes {
		got = append(got, r.Name+" "+r.Toolchain.Name)
	}
	if want := []string{"r cc", "esp32c3-baremetal cc"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	write(t, filepath.Join(dir, "c.toml"), minimal)
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "a.toml") {
		t.Errorf("name given twice: %v", err)
	}
	write(t, filepath.Join(dir, "c.toml"), "x = 1")
	write(t, filepath.Join(dir, "d.toml"), "y = 1")
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "c.toml:1") || !strings.Contains(err.Error(), "d.toml:1") {
		t.Errorf("want both mistakes: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing directory was accepted")
	}
}

// TestDocumentedExample reads the recipe that doc/recipes.md explains.
func TestDocumentedExample(t *testing.T) {
	doc, err := os.ReadFile("../../doc/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(doc, -1)
	if len(blocks) == 0 {
		t.Fatal("doc/recipes.md has no example")
	}
	for _, b := range blocks {
		if _, err := Parse("doc/recipes.md", b[1]); err != nil {
			t.Errorf("%v\n%s", err, b[1])
		}
	}
	// Every key that exists is explained.
	for _, typ := range []reflect.Type{reflect.TypeFor[Recipe](), reflect.TypeFor[Toolchain](), reflect.TypeFor[Project](),
		reflect.TypeFor[Contains](), reflect.TypeFor[Command](), reflect.TypeFor[Wanted](), reflect.TypeFor[Flash](), reflect.TypeFor[Image]()} {
		for i := range typ.NumField() {
			if key := typ.Field(i).Tag.Get("toml"); key != "-" &&
				!strings.Contains(string(doc), "`"+key+"`") && !strings.Contains(string(doc), "`["+key+"]`") {
				t.Errorf("doc/recipes.md does not explain %s of %s", key, typ.Name())
			}
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTargetsInAnySpelling(t *testing.T) {
	text := strings.Replace(minimal, `["esp32"]`, `["ESP32-C3", "esp32_s3", "linux-x86"]`, 1)
	r, err := Parse("r.toml", []byte(text))
	if err != nil || strings.Join(r.Targets, " ") != "esp32c3 esp32s3 linux-x86" {
		t.Errorf("%v, %v", r, err)
	}
}
