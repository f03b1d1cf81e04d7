package project

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// git lists what git would add. It is the authority on its own rules.
func git(t *testing.T, dir string) string {
	t.Helper()
	run := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %v: %v", args, err)
		}
		return string(out)
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		run("init", "-q")
	}
	names := strings.Split(strings.TrimSuffix(run("ls-files", "-z", "--others", "--exclude-standard"), "\x00"), "\x00")
	slices.Sort(names)
	return strings.Join(names, "\n")
}

// TestSameAsGit compares with git itself, over patterns put together from
// pieces that have each been wrong in some implementation. Names are ASCII: git
// matches bytes, and this package characters.
func TestSameAsGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	for _, name := range []string{"a", "b.o", "ab/a", "ab/b.o", "ab/c/a", "ab/c/d/b.o", "ab/c/d/x-y", "c/a", "c/ab/b.o", "c/ab/[x]", "d/c/ab/a b", "d/c/ab/#a", "d/!a", "d/a\\b"} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pieces := []string{"a", "b", "c", "d", "ab", "*", "**", "?", "/", "/", "/", "!", "[a-c]", "[!b]", "[]x]", "[^a-c]", "[[:alpha:]]", "[+-b]", "[", "\\", ".o", ".", " ", "#", "-", "\\ ", "**/", "/**", "/**/"}
	// git takes a literal start off the pattern before it looks at what stands
	// before "**", so that "b**/x" works as "b" with "**/x"; gitignore(5) does
	// not say so.
	quirk := regexp.MustCompile(`[^/]\*\*`)
	random := rand.New(rand.NewPCG(1, 2))
	write := func(name string) string {
		var lines []string
		for range 1 + random.IntN(4) {
			var line string
			for range 1 + random.IntN(5) {
				line += pieces[random.IntN(len(pieces))]
			}
			if !quirk.MatchString(strings.TrimPrefix(line, "!")) {
				lines = append(lines, line)
			}
		}
		text := strings.Join(lines, "\n")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return text
	}
	rounds := 200
	if testing.Short() {
		rounds = 30
	}
	for range rounds {
		top, nested := write(".gitignore"), write("ab/.gitignore")
		p := open(t, dir)
		files, err := p.walk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, f.Path)
		}
		slices.Sort(names)
		if got, want := strings.Join(names, "\n"), git(t, dir); got != want {
			t.Fatalf("rules %q, in ab %q:\n%s", top, nested, diff(got, want))
		}
	}
}

func diff(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	var b strings.Builder
	for _, n := range g {
		if !slices.Contains(w, n) {
			fmt.Fprintf(&b, "%q is sent, git ignores it\n", n)
		}
	}
	for _, n := range w {
		if !slices.Contains(g, n) {
			fmt.Fprintf(&b, "%q is left out, git does not ignore it\n", n)
		}
	}
	return b.String()
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*.o", "!/a/**/b/", "[!a-z]", "[[:punct:]]x", "\\", "[", "**", "a\\ "} {
		f.Add(s, "a/b.o")
	}
	f.Fuzz(func(t *testing.T, line, path string) {
		p, ok := parsePattern(line)
		if ok && p.match == nil {
			t.Fatal("a rule without an expression")
		}
		if ok && p.match.MatchString("/") && !strings.Contains(line, "**") && !strings.Contains(line, "/") {
			t.Fatalf("%q matches a slash", line)
		}
	})
}
