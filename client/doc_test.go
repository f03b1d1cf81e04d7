package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../doc/client.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the document's code of one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var out []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(document(t), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("the document has no %s", language)
	}
	return out
}

// TestDocumentHasEveryVerbAndNoUnknownFlag compares doc/client.md with the command
// line. The generated reference page lists the flags.
func TestDocumentHasEveryVerbAndNoUnknownFlag(t *testing.T) {
	text := document(t)
	root := newCommand(&app{})
	known := map[string]bool{"help": true, "version": true}
	note := func(f *pflag.Flag) { known[f.Name] = true }
	root.PersistentFlags().VisitAll(note)
	for _, verb := range verbs(root) {
		verb.Flags().VisitAll(note)
		top := strings.Fields(verb.CommandPath())[1]
		if verb.Runnable() && !strings.Contains(text, "| `client "+top) {
			t.Errorf("the document lacks client %s", top)
		}
	}
	for _, m := range regexp.MustCompile("`(?:client [a-z ]*)?--([a-z0-9-]+)").FindAllStringSubmatch(text, -1) {
		if !known[m[1]] {
			t.Errorf("the document has --%s, which does not exist", m[1])
		}
	}
}

func TestDocumentsSettings(t *testing.T) {
	for _, text := range blocks(t, "settings") {
		if _, err := parseSettings([]byte(text)); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}

// verbs returns a command's verbs at any depth.
func verbs(c *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, verb := range c.Commands() {
		if !verb.Hidden && verb.Name() != "help" && verb.Name() != "completion" {
			all = append(append(all, verb), verbs(verb)...)
		}
	}
	return all
}

// TestEveryFlagIsDefinedOnce checks that verbs share the definitions of their
// common flags.
func TestEveryFlagIsDefinedOnce(t *testing.T) {
	seen := map[string]*pflag.Flag{}
	for _, verb := range verbs(newCommand(&app{})) {
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if old := seen[f.Name]; old != nil && f.Name != "help" && (old.Usage != f.Usage || old.DefValue != f.DefValue || old.Shorthand != f.Shorthand) {
				t.Errorf("--%s is defined twice: %q and %q", f.Name, old.Usage, f.Usage)
			}
			seen[f.Name] = f
		})
	}
}

func TestDocumentHasEveryExitCode(t *testing.T) {
	text := document(t)
	for _, code := range []cli.Exit{cli.Done, cli.BuildFailed, cli.Usage, cli.Broker, cli.NoAgent, cli.LostAgent, cli.Serial, cli.Verification, cli.Interrupted} {
		if !strings.Contains(text, "\n| "+strconv.Itoa(int(code))+" | ") {
			t.Errorf("the document lacks exit code %d", code)
		}
	}
}

func TestDocumentsProjectFile(t *testing.T) {
	for _, text := range blocks(t, "toml") {
		if _, err := project.ParseConfig([]byte(text)); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}

// TestDocumentsConsole runs the document's commands against a fake broker, a fake
// agent and a simulated board. "…" in the document stands for any text.
func TestDocumentsConsole(t *testing.T) {
	shown := blocks(t, "console")
	dir := t.TempDir()
	for name, text := range map[string]string{
		"blink/main.c": "int main(void) { return 0; }\n", "blink/farforge.toml": "target = \"esp32c3\"\noutputs = [\"build\"]\n",
		"blink/.farforgeignore": "*.pdf\n", "blink/manual.pdf": "", "blink/build/x.o": "",
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	port, err := serveBoard(t, "esp32c3")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ESPTOOL_PORT", port)
	b := fakefarm.New(t, fakefarm.Succeeds(fakefarm.Made()))
	b.Set(func(s *fakefarm.Settings) { s.Farm = documentedFarm() })
	t.Setenv("FARFORGE_URL", b.URL)
	ran := 0
	for _, block := range shown {
		for step := range strings.SplitSeq("\n"+block, "\n$ ") {
			command, want, _ := strings.Cut(step, "\n")
			args, ok := strings.CutPrefix(command, "client ")
			if !ok {
				continue // export, or nothing
			}
			var stdout, stderr bytes.Buffer
			if code := execute(t.Context(), words(args), &stdout, &stderr); code != cli.Done {
				t.Fatalf("%s: exit code %d\n%s", command, code, stderr.String())
			}
			ran++
			got := stderr.String()
			if strings.HasPrefix(args, "files") || strings.HasPrefix(args, "agents") {
				got = stdout.String() + got
			}
			if pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), "…", ".*"); !regexp.MustCompile(`\A` + pattern + `\n\z`).MatchString(got) {
				t.Errorf("%s writes\n%s\nthe document has\n%s", command, got, want)
			}
		}
	}
	if ran < 2 {
		t.Errorf("the document shows %d commands", ran)
	}
}

// documentedFarm returns the agents in the document.
func documentedFarm() []api.AgentInfo {
	farm := farmOf("anvil", "bench", "spare")
	farm[0].State, farm[0].RunningJobs, farm[0].FreeCores, farm[0].FreeMemMB = api.AgentBusy, 2, 4, 512
	farm[0].Capabilities = []api.Capability{
		{Target: "esp32", Toolchain: "esp-idf", Version: "5.3.1"}, {Target: "esp32c3", Toolchain: "esp-idf", Version: "5.3.1"},
		{Target: "esp32c3", Toolchain: "riscv-gcc", Version: "12.2.0"},
	}
	farm[1].FreeMemMB, farm[1].Tags = 12800, []string{"eu", "fast"}
	farm[1].Capabilities = []api.Capability{{Target: "esp32s3", Toolchain: "esp-idf", Version: "5.4"}}
	farm[2].State = api.AgentOffline
	return farm
}

// words splits a command line that may have double quotes.
func words(s string) []string {
	var out []string
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

func TestHelpFitsATerminal(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for line := range strings.Lines(c.Long) {
			if len([]rune(line)) > 100 {
				t.Errorf("%s: a line of %d characters in its help: %s", c.CommandPath(), len(line), line)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newCommand(&app{}))
}
