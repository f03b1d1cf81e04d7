package flash_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestEngineNeedsNoDevice lists the packages of the engine for a browser: no package that
// opens serial devices or terminals is among them.
func TestEngineNeedsNoDevice(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".", "./boardtext")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for p := range strings.FieldsSeq(string(out)) {
		if strings.Contains(p, ".") && !strings.HasPrefix(p, "vendor/") && !strings.HasPrefix(p, "github.com/farforge/farforge/common/") || strings.HasSuffix(p, "/serialport") {
			t.Errorf("the engine needs %s", p)
		}
	}
}
