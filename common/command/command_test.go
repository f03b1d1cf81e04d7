package command

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/farforge/farforge/common/cli"
)

// tree is a command line with a verb, a group, sections and an environment
// variable.
func tree() *cobra.Command {
	root := &cobra.Command{Use: "kiln", Short: "Fire pots", RunE: func(*cobra.Command, []string) error { return nil }}
	var degrees int
	cli.Section(root.Flags(), "Heat", func(f *pflag.FlagSet) {
		f.IntVar(&degrees, "degrees", 900, "heat to `N` degrees")
		cli.Env(f, "degrees", "KILN_DEGREES")
	})
	root.Flags().Bool("lid", false, "close the lid")
	build := &cobra.Command{Use: "build", Short: "Build a kiln", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return nil }}
	topic := &cobra.Command{Use: "clay", Short: "What clay is", Long: "Clay is wet."}
	root.AddCommand(build, topic, Group(&cobra.Command{Use: "pots", Short: "Manage pots"}, &cobra.Command{
		Use: "list", Short: "List pots", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return nil },
	}))
	Finish(root)
	return root
}

// run returns standard output and the error as a user sees it.
func run(args ...string) (stdout, failure string) {
	root := tree()
	var out, failed bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	if err := root.Execute(); err != nil {
		cli.Print(&failed, err)
	}
	return out.String(), failed.String()
}

func TestMistypedWords(t *testing.T) {
	for args, want := range map[string]string{
		"":              "",
		"build":         "",
		"pots list":     "",
		"buidl":         "error: kiln has no verb \"buidl\"\nhint: did you mean this?  kiln build\nhint: see kiln --help\n",
		"xyzzy":         "error: kiln has no verb \"xyzzy\"\nhint: see kiln --help\n",
		"pots lst":      "error: kiln pots has no verb \"lst\"\nhint: did you mean this?  kiln pots list\nhint: see kiln pots --help\n",
		"help buidl":    "error: kiln has no verb \"buidl\"\nhint: did you mean this?  kiln build\nhint: see kiln --help\n",
		"--degres 5":    "error: unknown flag: --degres\nhint: did you mean --degrees?\nhint: see kiln --help\n",
		"--xyzzy":       "error: unknown flag: --xyzzy\nhint: see kiln --help\n",
		"--degrees hot": "error: --degrees: \"hot\" must be an integer\nhint: see kiln --help\n",
		"-x":            "error: unknown shorthand flag: 'x' in -x\nhint: see kiln --help\n",
	} {
		if _, got := run(strings.Fields(args)...); got != want {
			t.Errorf("kiln %s: got\n%swant\n%s", args, got, want)
		}
	}
}

func TestHelpHasSectionsVerbsAndTopics(t *testing.T) {
	got, failure := run("--help")
	if failure != "" {
		t.Fatal(failure)
	}
	for _, want := range []string{
		"Fire pots\n\nUsage:\n  kiln [flags]\n  kiln VERB\n",
		"\nVerbs:\n  build        Build a kiln\n",
		"\nTopics, see kiln help TOPIC:\n  clay         What clay is\n",
		"\nHeat:\n      --degrees N   heat to N degrees (env KILN_DEGREES) (default 900)\n",
		"\nFlags:\n      --lid       close the lid\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the help lacks %q:\n%s", want, got)
		}
	}
	if got, _ := run("help", "clay"); got != "Clay is wet.\n" {
		t.Errorf("help clay: %q", got)
	}
	if got, _ := run("pots"); !strings.Contains(got, "Usage:\n  kiln pots VERB\n") {
		t.Errorf("pots: %q", got)
	}
}

func TestEnvironmentGivesFlags(t *testing.T) {
	t.Setenv("KILN_DEGREES", "hot")
	if _, got := run(); !strings.HasPrefix(got, "error: the environment variable KILN_DEGREES has the value \"hot\": --degrees: \"hot\" must be an integer\n") {
		t.Errorf("got %q", got)
	}
	if _, got := run("--degrees", "5"); got != "" {
		t.Errorf("got %q although the flag is given", got)
	}
}

func TestCompletion(t *testing.T) {
	root := tree()
	Values(root, "degrees", "900", "1200")
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"__complete", "--degrees", ""})
	if err := root.Execute(); err != nil || !strings.HasPrefix(out.String(), "900\n1200\n:4\n") {
		t.Errorf("%v, %q", err, out.String())
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got, failure := run("completion", shell); failure != "" || !strings.Contains(got, "kiln") {
			t.Errorf("completion %s: %q, %d bytes", shell, failure, len(got))
		}
	}
	if got, failure := run("version"); failure != "" || got != cli.Version()+"\n" {
		t.Errorf("version: %q, %q", got, failure)
	}
}
