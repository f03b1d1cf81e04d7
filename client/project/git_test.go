package project

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// gitRun runs git without the settings of the machine.
func gitRun(t testing.TB, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, problems.String())
	}
	return string(out)
}

// isolateGit makes git and this package use the test's own settings.
func isolateGit(t testing.TB, settings string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "xdg"), "GIT_CONFIG_SYSTEM": os.DevNull, "GIT_CONFIG_NOSYSTEM": "1"} {
		switch t := t.(type) {
		case *testing.T:
			t.Setenv(name, value)
		case *testing.F:
			t.Setenv(name, value)
		}
	}
}

// gitFiles returns the files that git would take from a folder: tracked ones that
// exist, and others that no rule excludes, also in the repositories within.
func gitFiles(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	for name := range strings.SplitSeq(gitRun(t, dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		at := filepath.Join(dir, name)
		info, err := os.Lstat(at)
		switch {
		case name == "" || err != nil:
		case info.IsDir():
			for _, below := range gitFiles(t, at) {
				names = append(names, path.Join(name, below))
			}
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func sent(t testing.TB, dir string) []string {
	t.Helper()
	files, err := open(t, dir).walk(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Path)
	}
	slices.Sort(names)
	return names
}

// TestSameAsGit compares the files of random trees with those that git takes. Names,
// patterns and folders are made of pieces that some implementation has got wrong;
// every source of rules is used, and some ignored files are tracked.
// make fuzz sets FARFORGE_LONG for thousands of trees.
func TestSameAsGit(t *testing.T) {
	isolateGit(t, "[core]\n\texcludesFile = ~/excludes\n[user]\n\tname = x\n\temail = x@x\n[advice]\n\taddEmbeddedRepo = false\n")
	rounds := 60
	switch {
	case os.Getenv("FARFORGE_LONG") != "":
		rounds = 4000
	case testing.Short():
		rounds = 20
	}
	random := rand.New(rand.NewPCG(uint64(rounds), 2))
	for round := range rounds {
		g := &generator{t: t, random: random, dir: filepath.Join(t.TempDir(), "r")}
		g.repository(round)
		got, want := sent(t, g.dir), gitFiles(t, g.dir)
		if !slices.Equal(got, want) {
			t.Fatalf("round %d:\n%s%s", round, diff(strings.Join(got, "\n"), strings.Join(want, "\n")), g.log.String())
		}
		// Below the top, the rules above hold as well, unless they leave out the
		// folder itself, which the user has named as a project.
		sub := filepath.Join(g.dir, "ab")
		if info, err := os.Stat(sub); err == nil && info.IsDir() && exec.Command("git", "-C", g.dir, "check-ignore", "-q", "--no-index", "ab").Run() != nil {
			got, want := sent(t, sub), gitFiles(t, sub)
			if !slices.Equal(got, want) {
				t.Fatalf("round %d, in ab:\n%s%s", round, diff(strings.Join(got, "\n"), strings.Join(want, "\n")), g.log.String())
			}
		}
		if err := os.RemoveAll(g.dir); err != nil {
			t.Fatal(err)
		}
	}
}

// generator makes a random repository.
type generator struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	log    strings.Builder
}

func (g *generator) pick(from ...string) string { return from[g.random.IntN(len(from))] }

func (g *generator) write(name, text string) {
	g.t.Helper()
	at := filepath.Join(g.dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return // a file lies where the folder would be
	}
	if info, err := os.Lstat(at); err == nil && info.IsDir() {
		return
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// pattern returns one random line of rules.
func (g *generator) pattern() string {
	pieces := []string{
		"a", "b", "c", "d", "ab", "é", "ü", "日", "*", "**", "***", "?", "??", "/", "/", "/", "!", "[a-c]", "[c-a]", "[!b]", "[]x]", "[^a-c]", "[a-c-e]",
		"[[:alpha:]]", "[[:space:]]", "[[:punct:]x]", "[[:nope:]]", "[[:alpha]", "[+-b]", "[é-ü]", "[\\]-a]", "[a\\-c]", "[", "\\", "\\*", ".o", ".", " ", "\t", "#", "-", "\\ ", "**/", "/**", "/**/", "*/", "**\\/", "src", "\ufeff", "\r", "\xff",
	}
	var line string
	for range 1 + g.random.IntN(6) {
		line += pieces[g.random.IntN(len(pieces))]
	}
	return line
}

func (g *generator) rules() string {
	var text strings.Builder
	text.WriteString(g.pick("", "", "", "\ufeff"))
	for range 1 + g.random.IntN(4) {
		text.WriteString(g.pattern() + g.pick("\n", "\n", "\r\n"))
	}
	return text.String() + g.pick("", g.pattern())
}

func (g *generator) repository(round int) {
	names := []string{"a", "b.o", "c", "x-y", "é", "aü", "日", "a b", "#a", "!a", "a\\b", "[x]", "]", "-", "a\t", "a ", "*", "\xffz", ".o", "B.O"}
	folders := []string{".", "ab", "ab/c", "ab/c/d", "c", "c/ab", "d/c/ab", "src/a/b", "srcé/a", "é/ab", "日/a b", "nested/ab"}
	var all []string
	for range 25 {
		name := path.Join(folders[g.random.IntN(len(folders))], names[g.random.IntN(len(names))])
		g.write(name, "")
		all = append(all, name)
	}
	must := func(args ...string) { gitRun(g.t, g.dir, args...) }
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		g.t.Fatal(err)
	}
	must("init", "-q")
	note := func(name, text string) {
		g.write(name, text)
		fmt.Fprintf(&g.log, "%s: %q\n", name, text)
	}
	note(".gitignore", g.rules())
	note(path.Join(folders[g.random.IntN(len(folders))], ".gitignore"), g.rules())
	if round%2 == 0 {
		note(".git/info/exclude", g.rules())
	}
	home, _ := os.UserHomeDir()
	excludes := g.pick("", "", g.rules())
	fmt.Fprintf(&g.log, "excludes: %q\n", excludes)
	if err := os.WriteFile(filepath.Join(home, "excludes"), []byte(excludes), 0o644); err != nil {
		g.t.Fatal(err)
	}
	nested := filepath.Join(g.dir, "nested")
	if info, err := os.Stat(nested); err == nil && info.IsDir() && round%3 == 0 {
		gitRun(g.t, nested, "init", "-q")
		note("nested/.gitignore", g.rules())
		gitRun(g.t, nested, "commit", "-q", "--allow-empty", "-m", "x")
		if round%2 == 0 {
			must("add", "-f", "nested")
			g.log.WriteString("nested is a submodule\n")
		}
	}
	var tracked []string
	for range g.random.IntN(6) {
		name := all[g.random.IntN(len(all))]
		if info, err := os.Lstat(filepath.Join(g.dir, name)); err == nil && info.Mode().IsRegular() && !strings.HasPrefix(name, "nested") {
			tracked = append(tracked, name)
		}
	}
	if len(tracked) > 0 {
		fmt.Fprintf(&g.log, "tracked: %q\n", tracked)
		if round%5 == 0 {
			must("update-index", "--index-version", "4")
		}
		must(append([]string{"--literal-pathspecs", "add", "-f", "--"}, tracked...)...)
	}
	if round%7 == 0 {
		must("update-index", "--split-index")
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

// TestRepositories checks examples that once failed.
func TestRepositories(t *testing.T) {
	isolateGit(t, "[core]\n\texcludesFile = ~/excludes\n")
	home, _ := os.UserHomeDir()
	if err := os.WriteFile(filepath.Join(home, "excludes"), []byte("*.secret\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, noGit := range []bool{false, true} {
		dir := tree(t, map[string]string{
			".gitignore": "build/\n*.bin\n", "logo.bin": "", "other.bin": "", "build/a.o": "", "key.secret": "", "mine": "",
			"lib/build/gen.h": "", "lib/a.bin": "", "lib/x.secret": "", "modules/lib/HEAD": "",
		})
		gitRun(t, dir, "init", "-q")
		gitRun(t, dir, "add", "-f", "logo.bin")
		if err := os.WriteFile(filepath.Join(dir, ".git", "info", "exclude"), []byte("/mine\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "lib", gitName), []byte("gitdir: ../modules/lib\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if noGit {
			t.Setenv("PATH", "")
		}
		if got, want := strings.Join(sent(t, dir), " "), ".gitignore lib/a.bin lib/build/gen.h logo.bin modules/lib/HEAD"; got != want {
			t.Errorf("without git %v: %q, want %q", noGit, got, want)
		}
	}
}

// TestGitSettings reads settings as git does.
func TestGitSettings(t *testing.T) {
	values := map[string]string{}
	parseGitConfig("\ufeff# x\n[core] ; y\n\tExcludesFile = \"~/a b\" # z\n ignorecase\n[extensions]objectformat=sha256\n[other \"x\"]\ncore=1\n", values)
	want := map[string]string{"core.excludesfile": "~/a b", "core.ignorecase": "true", "extensions.objectformat": "sha256", `other "x".core`: "1"}
	for key, value := range want {
		if values[key] != value {
			t.Errorf("%s is %q, want %q", key, values[key], value)
		}
	}
	if len(values) != len(want) {
		t.Errorf("%q", values)
	}
}

// FuzzIndex: no index makes the client panic or use much memory.
func FuzzIndex(f *testing.F) {
	isolateGit(f, "")
	dir := tree(f, map[string]string{"a": "", "ab/c": "", "ab/d": ""})
	gitRun(f, dir, "init", "-q")
	gitRun(f, dir, "add", ".")
	for _, version := range []string{"2", "3", "4"} {
		gitRun(f, dir, "update-index", "--index-version", version)
		data, err := os.ReadFile(filepath.Join(dir, ".git", "index"))
		if err != nil {
			f.Fatal(err)
		}
		x, err := parseIndex(data, 20)
		if err != nil || len(x.files) != 3 || !x.files["ab/d"] || !x.folders["ab"] {
			f.Fatalf("version %s: %+v, %v", version, x, err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := parseIndex(data, 20); err == nil && len(x.files)+len(x.modules) > len(data) {
			t.Fatal("more files than bytes")
		}
	})
}

func TestNewSecrets(t *testing.T) {
	p := open(t, tree(t, map[string]string{
		"secrets.yaml": "", "sub/.env": "", ".env.example": "", ".env.local": "", "ca.pem": "-----BEGIN CERTIFICATE-----", "tls.pem": "x\n-----BEGIN EC PRIVATE KEY-----", "id_ed25519": "", "a.c": "",
	}))
	files, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	for _, want := range []string{".env.local id_ed25519 secrets.yaml tls.pem sub/.env", ""} {
		found, err := p.NewSecrets(state, files)
		slices.Sort(found)
		expect := strings.Fields(want)
		slices.Sort(expect)
		if err != nil || !slices.Equal(found, expect) {
			t.Errorf("%q, %v; want %q", found, err, want)
		}
	}
}

// TestHostileRepository: the settings of a repository can name programs, and none of them
// runs, even if git has to read an index of an unusual form.
func TestHostileRepository(t *testing.T) {
	isolateGit(t, "")
	dir := tree(t, map[string]string{"a.c": "", "b.o": "", ".gitignore": "*.o\n"})
	gitRun(t, dir, "init", "-q")
	gitRun(t, dir, "add", "-f", "a.c", "b.o")
	gitRun(t, dir, "update-index", "--split-index")
	mark := filepath.Join(t.TempDir(), "ran")
	for _, key := range []string{"core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "core.askPass", "alias.ls-files", "alias.config", "filter.x.clean", "filter.x.smudge", "diff.external"} {
		value := "touch " + mark
		if strings.HasPrefix(key, "alias.") {
			value = "!" + value
		}
		gitRun(t, dir, "config", key, value)
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitattributes"), []byte("* filter=x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(sent(t, dir), " "), ".gitattributes .gitignore a.c b.o"; got != want {
		t.Errorf("sent are %q, want %q", got, want)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program that the repository's settings name has run")
	}
}
