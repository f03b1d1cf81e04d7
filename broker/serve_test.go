package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/identity"
)

// parseConfig returns the valid Config of a command line, or its error.
func parseConfig(args ...string) (*Config, error) {
	var parsed *Config
	cmd := newCommand(func(c *Config) error { parsed = c; return nil })
	cmd.SetArgs(args)
	err := cmd.Execute()
	return parsed, err
}

// TestReload changes the list of agents under a running broker.
func TestReload(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	list := filepath.Join(dir, "agents")
	write := func(s string) {
		if err := os.WriteFile(list, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	cfg, err := parseConfig("--addr", "127.0.0.1:0", "--addr-file", filepath.Join(dir, "addr"), "--disable-tls", "--open",
		"--authorized-agents", list, "--state-dir", filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	drain, reload, done := make(chan struct{}), make(chan os.Signal), make(chan error, 1)
	log, logTo := io.Pipe()
	lines := make(chan string, 16)
	go func() {
		defer close(lines)
		buf := make([]byte, 4096)
		for {
			n, err := log.Read(buf)
			if err != nil {
				return
			}
			lines <- string(buf[:n])
		}
	}()
	var stdout bytes.Buffer
	go func() {
		done <- serve(context.Background(), cfg, signals{drain: drain, reload: reload}, &stdout, logTo)
		_ = logTo.Close()
	}()
	key, err := identity.GenerateKey(filepath.Join(dir, "key"), "bench-1")
	if err != nil {
		t.Fatal(err)
	}
	reload <- syscall.SIGHUP // taken once the broker runs
	if line := <-lines; !strings.Contains(line, "agents=0") {
		t.Errorf("log: %s", line)
	}
	write(key.PublicLine("bench-1") + "\n")
	reload <- syscall.SIGHUP
	if line := <-lines; !strings.Contains(line, "agents=1 added=1 removed=0") {
		t.Errorf("log: %s", line)
	}
	write("rubbish\n")
	reload <- syscall.SIGHUP
	if line := <-lines; !strings.Contains(line, "the old one stays") || !strings.Contains(line, "line 1") {
		t.Errorf("log: %s", line)
	}
	url, err := os.ReadFile(cfg.AddrFile)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get(strings.TrimSpace(string(url)) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if !strings.Contains(string(body), "farforge_broker_agents_listed 1\n") {
		t.Error("the old list did not stay")
	}
	close(drain)
	for range lines { // the broker logs until it ends
	}
	if err := <-done; err != nil {
		t.Errorf("serve: %v", err)
	}
}
