package examples_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatModelPointsAtTests reads the table of doc/security.md: every row
// names at least one test, and every named test exists.
func TestThreatModelPointsAtTests(t *testing.T) {
	data, err := os.ReadFile("../doc/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "\n## Threats\n")
	table, _, _ = strings.Cut(table, "\n## ")
	reference := regexp.MustCompile("`([a-z-]+(?:/[a-z-]+)*)` (Test[A-Za-z0-9]+)")
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| party ") {
			continue
		}
		rows++
		named := reference.FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			t.Errorf("a row without a test: %s", line)
		}
		for _, m := range named {
			if !testExists(t, m[1], m[2]) {
				t.Errorf("%s has no %s", m[1], m[2])
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d rows were found in the table", rows)
	}
}

func testExists(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
