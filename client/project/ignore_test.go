package project

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestIgnoreRules(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing ignored", map[string]string{"b.c": "", "a.c": "", "sub/c.c": ""}, "a.c b.c sub/c.c"},
		{"git and own state", map[string]string{"a.c": "", ".git/config": "", "sub/.git": "gitdir: x", ".farforge/out/a.bin": ""}, "a.c"},
		{"the project file is sent", map[string]string{ConfigName: "", "a.c": ""}, "a.c farforge.toml"},
		{"outputs", map[string]string{ConfigName: `outputs = ["build/", "x/y.bin"]`, "build/a.o": "", "x/y.bin": "", "x/z.bin": "", "sub/build/b": ""}, "farforge.toml sub/build/b x/z.bin"},
		{".gitignore", map[string]string{".gitignore": "*.o\n!keep.o\n", "a.o": "", "keep.o": "", "sub/b.o": ""}, ".gitignore keep.o"},
		{"nested .gitignore", map[string]string{"sub/.gitignore": "/x\n!a.o\n", ".gitignore": "*.o", "sub/x": "", "x": "", "sub/a.o": "", "a.o": ""}, ".gitignore sub/.gitignore sub/a.o x"},
		{".farforgeignore wins", map[string]string{".gitignore": "gen/\n", IgnoreName: "!gen/\n*.md\n", "gen/a.c": "", "README.md": "", "sub/.gitignore": "!*.md", "sub/x.md": ""}, ".farforgeignore .gitignore gen/a.c sub/.gitignore"},
		{"an included name does not open its contents", map[string]string{".gitignore": "*.o\n!src\n", "src/a.o": "", "src/a.c": ""}, ".gitignore src/a.c"},
		{"everything inside but one", map[string]string{".gitignore": "build/**\n!build/keep\n", "build/keep": "", "build/x": ""}, ".gitignore build/keep"},
		{"quoted", map[string]string{".gitignore": "\\#a\n\\!b\n#c\n", "#a": "", "!b": "", "#c": ""}, "#c .gitignore"},
		{"byte order mark and CR LF", map[string]string{".gitignore": "\ufeffa\r\nb\r\n", "a": "", "b": "", "c": ""}, ".gitignore c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := list(t, tree(t, tt.files)); got != tt.want {
				t.Errorf("sent are %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRulesOfTheRepositoryAbove(t *testing.T) {
	dir := tree(t, map[string]string{
		".git/HEAD": "", ".gitignore": "/examples/*/build/\n*.o\nhello\n", "examples/.gitignore": "!x.o\n/hello/tmp\n",
		"examples/hello/build/a": "", "examples/hello/a.o": "", "examples/hello/x.o": "", "examples/hello/main.c": "", "examples/hello/tmp": "",
	})
	if got, want := list(t, filepath.Join(dir, "examples", "hello")), "main.c x.o"; got != want {
		t.Errorf("sent are %q, want %q", got, want)
	}
}

// TestLinkedIgnoreFiles: git does not follow a symlink in the place of .gitignore.
func TestLinkedIgnoreFiles(t *testing.T) {
	for target, inside := range map[string]string{"rules": "*.o", "../rules": "*.o", "nowhere": ""} {
		dir := tree(t, map[string]string{"p/a.c": "", "p/b.o": "", "p/rules": inside, "rules": inside})
		dir = filepath.Join(dir, "p")
		if err := os.Symlink(target, filepath.Join(dir, gitIgnoreName)); err != nil {
			t.Fatal(err)
		}
		p := open(t, dir)
		var warnings []string
		p.Warn = func(text string) { warnings = append(warnings, text) }
		files, err := p.List(t.Context())
		var names []string
		for _, f := range files {
			names = append(names, f.Path)
		}
		if target == "../rules" || target == "nowhere" { // these symlinks cannot be sent
			if err == nil && !slices.Contains(names, "b.o") {
				t.Errorf("%s: obeyed: %v", target, names)
			}
		} else if err != nil || !slices.Contains(names, "b.o") {
			t.Errorf("%s: %v, %v", target, names, err)
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], "because it is a symlink") {
			t.Errorf("%s: warnings %q", target, warnings)
		}
	}
}

// TestOutputsOfTheKind: a build's outputs in the project are left out without any
// rule, and a rule of the user overrides that.
func TestOutputsOfTheKind(t *testing.T) {
	const idf = "include($ENV{IDF_PATH}/tools/cmake/project.cmake)\n"
	for _, tt := range []struct {
		kind  Kind
		files map[string]string
		want  string
	}{
		{ESPIDF, map[string]string{"CMakeLists.txt": idf, "build/a.o": "", "main/build/b.c": "", "managed_components/x/x.c": ""}, "CMakeLists.txt main/build/b.c managed_components/x/x.c"},
		{ESPIDF, map[string]string{"CMakeLists.txt": idf, "dependencies.lock": "", "managed_components/x/x.c": ""}, "CMakeLists.txt dependencies.lock"},
		{ESPIDF, map[string]string{"CMakeLists.txt": idf, ".gitignore": "!build/\n", "build/a.h": ""}, ".gitignore CMakeLists.txt build/a.h"},
		{ESPIDF, map[string]string{"CMakeLists.txt": idf, IgnoreName: "!build/\n", "build/a.h": ""}, ".farforgeignore CMakeLists.txt build/a.h"},
		{PlatformIO, map[string]string{"platformio.ini": "", "CMakeLists.txt": idf, ".pio/build/x": "", "src/a.c": ""}, "CMakeLists.txt platformio.ini src/a.c"},
		{Rust, map[string]string{"Cargo.toml": "", "target/x": "", "src/target/a.rs": ""}, "Cargo.toml src/target/a.rs"},
		{ESPHome, map[string]string{"lamp.yaml": "# x\nesphome:\n  name: lamp\n", ".esphome/x": ""}, "lamp.yaml"},
		{Arduino, map[string]string{"blink.ino": "", "build/x": ""}, "blink.ino"},
		{Zephyr, map[string]string{"CMakeLists.txt": "find_package(Zephyr REQUIRED)\n", "build/x": ""}, "CMakeLists.txt"},
		{CMake, map[string]string{"CMakeLists.txt": "project(x)\n", "cmake-build-debug/x": ""}, "CMakeLists.txt"},
		{Make, map[string]string{"Makefile": "all:\n", "build/x": ""}, "Makefile build/x"},
		{"", map[string]string{"a.yaml": "x:\n", "build/x": ""}, "a.yaml build/x"},
	} {
		dir := tree(t, tt.files)
		if got := open(t, dir).Kind; got != tt.kind {
			t.Errorf("%v: of the kind %q, want %q", tt.files, got, tt.kind)
		}
		if got := list(t, dir); got != tt.want {
			t.Errorf("%s: sent are %q, want %q", tt.kind, got, tt.want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*.o", "!/a/**/b/", "[!a-z]", "[[:punct:]]x", "\\", "[", "**", "a\\ "} {
		f.Add(s, "a/b.o")
	}
	f.Fuzz(func(t *testing.T, line, path string) {
		p, ok := parsePattern(line, false)
		if ok && p.match == nil {
			t.Fatal("a rule without an expression")
		}
		if ok && p.matches("/", "/", false) && !strings.Contains(line, "**") && !strings.Contains(line, "/") {
			t.Fatalf("%q matches a slash", line)
		}
	})
}
