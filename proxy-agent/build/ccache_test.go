//go:build unix

package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/proxy-agent/sandbox"
)

// ccacheRecipe is the one that doc/recipes.md shows.
func ccacheRecipe(t *testing.T) *Recipe {
	t.Helper()
	doc, err := os.ReadFile("../../doc/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllSubmatch(doc, -1) {
		if strings.Contains(string(block[1]), "CCACHE_DIR") {
			return parse(t, string(block[1]))
		}
	}
	t.Fatal("doc/recipes.md shows no recipe with ccache")
	return nil
}

// TestCcacheCompilesOnlyChangedFiles builds the example with the documented recipe,
// the real compiler and the real sandbox, and reads ccache's statistics.
func TestCcacheCompilesOnlyChangedFiles(t *testing.T) {
	sb := sandbox.NewBubblewrap(t.Context()) // without it, each workspace has another path
	if err := sb.Check(t.Context()); err != nil {
		t.Skipf("no usable sandbox here: %v", err)
	}
	catalog, err := Detect(t.Context(), sb, []*Recipe{ccacheRecipe(t)})
	if err != nil {
		t.Fatal(err)
	}
	if e := catalog.Entries[0]; !e.Usable() {
		t.Skipf("%s; `make test` installs it", e.Missing)
	}
	k := &keeper{t: t, dir: t.TempDir(), catalog: catalog}
	k.start(plenty)
	defer k.ws.Close()
	build := func(edit string) (image string, hits, misses int) {
		t.Helper()
		ws, err := k.ws.New()
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		if err := os.CopyFS(ws.Dir, os.DirFS("../../examples/esp32c3-hello")); err != nil {
			t.Fatal(err)
		}
		code, err := os.ReadFile(ws.Dir + "/main.c")
		if err != nil {
			t.Fatal(err)
		}
		write(t, ws.Dir+"/main.c", string(code)+edit)
		choice, err := catalog.Choose(ws.Root.FS(), Want{Target: "esp32c3"})
		if err != nil {
			t.Fatal(err)
		}
		cache := k.take(owner("hello"), choice)
		defer cache.Close()
		var log strings.Builder
		allow := Allowance{Cores: 2, MemoryMB: 512, Time: time.Minute, Cache: cache.Dir}
		result, err := choice.Run(t.Context(), sb, ws, allow, func(l sandbox.Line) { log.WriteString(l.Text + "\n") })
		if err != nil || result.ExitCode != 0 {
			t.Fatalf("%+v, %v\n%s", result, err, log.String())
		}
		a, err := choice.Collect(ws)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if err := cache.Keep(); err != nil {
			t.Fatal(err)
		}
		counts := ccacheCounts(t, filepath.Join(k.path(k.kept[0].id), cacheFiles))
		return content(t, a, "hello.bin"), counts["direct_cache_hit"] + counts["preprocessed_cache_hit"], counts["cache_miss"]
	}
	first, hits, misses := build("")
	if hits != 0 || misses != 2 {
		t.Errorf("of the first build's two files, %d were compiled and %d were not", misses, hits)
	}
	second, hits, misses := build("")
	if hits != 2 || misses != 2 {
		t.Errorf("the second build compiled %d, and took %d from the cache", misses-2, hits)
	}
	if first != second {
		t.Error("the cached build has other bytes")
	}
	third, hits, misses := build("int one_more(void) { return 1; }\n")
	if hits != 3 || misses != 3 || third == second {
		t.Errorf("of one file that changed and one that did not, %d were compiled and %d were not", misses-2, hits-2)
	}
}

// ccacheCounts reads the statistics of a cache since it was made.
func ccacheCounts(t *testing.T, dir string) map[string]int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ccache", "--print-stats")
	cmd.Env = append(os.Environ(), "CCACHE_DIR="+dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ccache --print-stats: %v", err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			counts[name], _ = strconv.Atoi(value)
		}
	}
	return counts
}
