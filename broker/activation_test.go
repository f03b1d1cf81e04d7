package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSocketsOfTheServiceManager starts the broker as systemd does, with the
// sockets of doc/operating.md's units already open, and no right to open any.
func TestSocketsOfTheServiceManager(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "agents"), "")
	broker := brokerCommand(t)
	args := []string{broker.Path, "--disable-tls", "--origin", "http://broker.example.org", "--authorized-agents", filepath.Join(dir, "agents"),
		"--state-dir", filepath.Join(dir, "state"), "--open"}
	open := func(names ...string) (cmd *exec.Cmd, urls []string) {
		// sh has the pid that exec keeps.
		cmd = exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`}, args...)...)
		cmd.Env = append(os.Environ(), fmt.Sprint("LISTEN_FDS=", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		for range names {
			l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			f, err := l.File()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			urls = append(urls, "http://"+l.Addr().String())
			_ = l.Close() // the file has a descriptor of its own
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		return cmd, urls
	}

	cmd, urls := open("api", "metrics")
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	notify := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+notify)
	log := background(t, cmd)
	waitReady(t, manager)
	for _, c := range []struct {
		url    string
		status int
	}{{urls[0] + "/health", 200}, {urls[0] + "/metrics", 404}, {urls[1] + "/metrics", 200}, {urls[1] + "/health", 404}} {
		resp, err := client.Get(c.url) // waits in the socket until the broker is there
		if err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s, want %d", c.url, resp.Status, c.status)
		}
	}
	if !strings.Contains(log.String(), "listening on "+urls[0]+" as http://broker.example.org") {
		t.Errorf("the broker says %s", log)
	}

	for names, want := range map[string]string{
		"a:b":      "error: the service manager passes sockets with unknown names: a, b; set FileDescriptorName= in the socket units",
		"api:http": `error: the service manager passes a socket for HTTP-01, named "http", which needs --acme-hostnames and --acme-http-addr`,
	} {
		cmd, _ := open(strings.Split(names, ":")...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, %s", names, err, out)
		}
	}
}

// waitReady waits for the broker's notification of the service manager.
func waitReady(t *testing.T, manager *net.UnixConn) {
	t.Helper()
	state := make([]byte, 100)
	_ = manager.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := manager.Read(state); err != nil || string(state[:n]) != "READY=1" {
		t.Fatalf("the service manager got %q, %v", state[:n], err)
	}
}
