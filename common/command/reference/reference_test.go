package reference

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/farforge/farforge/common/command"
)

func TestPagesDependOnDefinitionsOnly(t *testing.T) {
	make := func() map[string][]byte {
		root := &cobra.Command{Use: "kiln", Short: "Fire pots", RunE: func(*cobra.Command, []string) error { return nil }}
		root.Flags().Int("degrees", 900, "heat to `N` degrees")
		root.AddCommand(&cobra.Command{Use: "build", Short: "Build a kiln", RunE: root.RunE})
		command.Finish(root)
		pages, err := Pages(root)
		if err != nil {
			t.Fatal(err)
		}
		return pages
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	first := make()
	t.Setenv("SOURCE_DATE_EPOCH", "")
	second := make()
	for _, name := range []string{"reference/kiln.md", "man/kiln.1", "man/kiln-build.1", "man/kiln-version.1"} {
		if first[name] == nil || string(first[name]) != string(second[name]) {
			t.Errorf("%s: got\n%s\nand then\n%s", name, first[name], second[name])
		}
	}
	if len(first) != 4 {
		t.Errorf("%d pages", len(first))
	}
	for name, want := range map[string]string{
		"reference/kiln.md": "| `--degrees N` | heat to N degrees (default `900`) |\n",
		"man/kiln.1":        `.TH "KILN" "1" "" "Farforge" "Farforge"`,
	} {
		if !strings.Contains(string(first[name]), want) {
			t.Errorf("%s lacks %q:\n%s", name, want, first[name])
		}
	}
}
