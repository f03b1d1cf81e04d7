package project

import (
	"io"
	"io/fs"
	"regexp"
	"strings"
)

// Kind is the kind of a project: its build system, as agents announce it with their
// recipes. An empty Kind is unknown.
type Kind string

// The kinds.
const (
	PlatformIO Kind = "platformio"
	ESPIDF     Kind = "esp-idf"
	Zephyr     Kind = "zephyr"
	Rust       Kind = "rust"
	ESPHome    Kind = "esphome"
	Arduino    Kind = "arduino"
	CMake      Kind = "cmake"
	Make       Kind = "make"
)

// Title returns the kind as its makers write it.
func (k Kind) Title() string {
	switch k {
	case PlatformIO:
		return "PlatformIO"
	case ESPIDF:
		return "ESP-IDF"
	case Zephyr:
		return "Zephyr"
	case Rust:
		return "Rust"
	case ESPHome:
		return "ESPHome"
	case Arduino:
		return "Arduino"
	case CMake:
		return "CMake"
	}
	return string(k)
}

// kindOf finds out the kind of the project at the top of a file system. A project that
// more than one kind fits is of the first one: PlatformIO and ESP-IDF also use CMake.
func kindOf(root fs.FS) Kind {
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		return ""
	}
	files := map[string]bool{}
	matches := func(name, expr string) bool {
		return files[name] && regexp.MustCompile(expr).MatchString(head(root, name))
	}
	sketch, yaml := false, false
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		files[e.Name()] = true
		switch {
		case strings.HasSuffix(e.Name(), ".ino"):
			sketch = true
		case strings.HasSuffix(e.Name(), ".yaml"), strings.HasSuffix(e.Name(), ".yml"):
			yaml = yaml || matches(e.Name(), `(?m)^esphome:`)
		}
	}
	makefile := ""
	for _, name := range []string{"GNUmakefile", "makefile", "Makefile"} {
		if files[name] {
			makefile = name
		}
	}
	switch {
	case files["platformio.ini"]:
		return PlatformIO
	case matches("CMakeLists.txt", `(?i)\$ENV\{IDF_PATH\}/tools/cmake/|\bidf_build_process\b`), matches(makefile, `\$\(IDF_PATH\)/make/`):
		return ESPIDF
	case matches("CMakeLists.txt", `(?i)find_package\s*\(\s*Zephyr\b`):
		return Zephyr
	case files["Cargo.toml"]:
		return Rust
	case yaml:
		return ESPHome
	case sketch:
		return Arduino
	case files["CMakeLists.txt"]:
		return CMake
	case makefile != "":
		return Make
	}
	return ""
}

// head returns the beginning of a file, or "".
func head(root fs.FS, name string) string {
	if info, err := fs.Stat(root, name); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := root.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 64<<10))
	return strings.TrimPrefix(string(text), "\ufeff")
}

// outputs returns rules for the outputs of a build on this machine at the top of a project
// of this kind. Any rule of the user and any tracked file overrides them.
func (k Kind) outputs(root fs.FS) []pattern {
	var rules []string
	switch k {
	case PlatformIO:
		rules = []string{"/.pio/", "/.pioenvs/", "/.piolibdeps/"}
	case ESPIDF:
		rules = []string{"/build/", "/sdkconfig.old"}
		// The lock file lets the agent fetch the same components again.
		if _, err := fs.Stat(root, "dependencies.lock"); err == nil {
			rules = append(rules, "/managed_components/")
		}
	case Zephyr:
		rules = []string{"/build/", "/twister-out*/"}
	case Rust:
		rules = []string{"/target/", "/.embuild/"}
	case ESPHome:
		rules = []string{"/.esphome/"}
	case Arduino:
		rules = []string{"/build/"}
	case CMake:
		rules = []string{"/build/", "/cmake-build-*/"}
	}
	return parsePatterns(strings.Join(rules, "\n"), false)
}
