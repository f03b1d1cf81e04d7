package buildlog

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func create(t *testing.T) (*Log, *os.Root) {
	t.Helper()
	state, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	l, err := Create(state)
	if err != nil {
		t.Fatal(err)
	}
	return l, state
}

// TestFileHasAllLines: the file has all lines of a long log, of which only the end is in
// memory.
func TestFileHasAllLines(t *testing.T) {
	l, state := create(t)
	var want strings.Builder
	for i := range 3 * TailLines {
		line := "line " + strconv.Itoa(i)
		l.Add([]string{line})
		want.WriteString(line + "\n")
		if text, err := state.ReadFile(FileName); err != nil || string(text) != want.String() {
			t.Fatalf("while the build runs, after line %d: %q, %v", i, text, err)
		}
	}
	if tail := l.Tail(); len(tail) != TailLines || tail[TailLines-1] != "line 59" || tail[0] != "line 40" {
		t.Errorf("%q", tail)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := Create(state)
	if err != nil {
		t.Fatal(err)
	}
	next.Add([]string{"next"})
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := state.ReadFile(FileName); err != nil || string(text) != "next\n" {
		t.Errorf("the next build's log is %q, %v", text, err)
	}
	l.Add([]string{"after Close"})
	if err := l.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the error of writing: %v", err)
	}
}

func TestFindings(t *testing.T) {
	tests := []struct {
		name, log string
		want      []string
	}{
		{"GCC", "src/main.c: In function 'main':\nsrc/main.c:1:24: error: 'x' undeclared\nsrc/a b.c:3:1: warning: unused [-Wunused]\n../x.h:7: fatal error: no.h: No such file",
			[]string{"src/main.c:1:24: error: 'x' undeclared", "../x.h:7: error: no.h: No such file", "src/a b.c:3:1: warning: unused [-Wunused]"}},
		{"the same in two units", "h.h:1:2: warning: w\nh.h:1:2: warning: w", []string{"h.h:1:2: warning: w"}},
		{"linker", "/opt/x/riscv32-esp-elf/bin/ld: main.o: in function `app_main':\n/opt/x/bin/ld: main/main.c:12: undefined reference to `foo'\nmain.c:(.text+0xa): undefined reference to `bar'",
			[]string{"main/main.c:12: error: undefined reference to `foo'", "main.c: error: undefined reference to `bar'"}},
		{"Rust", "error[E0425]: cannot find value `x`\n --> src/main.rs:4:5\n  |\nwarning: unused variable\n   --> src/lib.rs:1:2\nerror: could not compile `blink`\n\nsrc:1",
			[]string{"src/main.rs:4:5: error: cannot find value `x`", "src/lib.rs:1:2: warning: unused variable"}},
		{"CMake", "CMake Error at main/CMakeLists.txt:4 (idf_component_register):\n\n  Cannot find source file\n", []string{"main/CMakeLists.txt:4: error: Cannot find source file"}},
		{"none", "make: *** [Makefile:3: all] Error 1\n[12/30] warning.c\nhttps://x:80: ok\n12:30:11: error", nil},
	}
	for _, tt := range tests {
		l, _ := create(t)
		l.Add(strings.Split(tt.log, "\n"))
		var got []string
		for _, f := range l.Findings() {
			got = append(got, f.String())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.name, got, tt.want)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOffline(t *testing.T) {
	for line, want := range map[string]bool{
		"fatal: unable to access 'https://github.com/x/': Could not resolve host: github.com": true,
		"socket.gaierror: [Errno -3] Temporary failure in name resolution":                    true,
		"npm error getaddrinfo EAI_AGAIN packages.example.org":                                true,
		"failed to lookup address information: Temporary failure":                             true,
		"error: could not resolve symbol host":                                                false,
		"main.c:1:2: error: x":                                                                false,
	} {
		l, _ := create(t)
		l.Add([]string{line})
		if got := l.Offline(); got != want {
			t.Errorf("%s: %v", line, got)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// FuzzFindings: no log makes the client panic or exceed its bounds.
func FuzzFindings(f *testing.F) {
	f.Add("a.c:1:2: error: x\nerror: y\n --> b.rs:3:4\nCMake Error at c:1 (x):\n\n z")
	f.Fuzz(func(t *testing.T, text string) {
		found := finder{forms: newForms()}
		for line := range strings.SplitSeq(text, "\n") {
			found.add(line)
		}
		if len(found.errors) > maxFindings || len(found.warnings) > maxFindings {
			t.Fatal("too many findings")
		}
		for _, x := range slices.Concat(found.errors, found.warnings) {
			if x.File == "" || x.Line < 0 || x.Severity != "error" && x.Severity != "warning" {
				t.Fatalf("%+v", x)
			}
		}
	})
}
