package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestReachConfig(t *testing.T) {
	for _, c := range []struct {
		name, want string
		reach      []string
		env        string
		open       bool
		origins    string
	}{
		{name: "nothing"},
		{name: "proxies", reach: []string{"--trusted-proxies", "127.0.0.1,::1,10.1.2.3/8", "--proxy-protocol"}},
		{name: "no network", want: `"proxy.example" is not a network`, reach: []string{"--trusted-proxies", "proxy.example"}},
		{name: "everybody", want: "anyone could claim", reach: []string{"--trusted-proxies", "0.0.0.0/0"}},
		{name: "PROXY from everybody", want: "needs --trusted-proxies", reach: []string{"--proxy-protocol"}},
		{name: "origins", reach: []string{"--allowed-origins", "https://App.example.org:443/,http://localhost:5173"}, origins: "https://app.example.org http://localhost:5173"},
		{name: "origins of the environment", env: "https://a.example, https://b.example:8443", origins: "https://a.example https://b.example:8443"},
		{name: "the flag wins", env: "https://a.example", reach: []string{"--allowed-origins", "https://b.example"}, origins: "https://b.example"},
		{name: "no origin", want: "--allowed-origins: \"app.example.org\" is not an origin", reach: []string{"--allowed-origins", "app.example.org"}},
		{name: "a path", want: "is not an origin", reach: []string{"--allowed-origins", "https://app.example.org/x"}},
		{name: "a wildcard in it", want: "is not an origin", reach: []string{"--allowed-origins", "https://*.example.org"}},
		{name: "null", want: "is not an origin", reach: []string{"--allowed-origins", "null"}},
		{name: "any on a closed broker", want: "the broker requires tokens", reach: []string{"--allowed-origins", "*"}},
		{name: "any by the environment", want: "--allowed-origins: *", env: "*"},
		{name: "any on an open broker", reach: []string{"--allowed-origins", "*"}, open: true, origins: "*"},
		{name: "any and others", want: "the other origins mean nothing", reach: []string{"--allowed-origins", "*,https://a.example"}, open: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("ALLOWED_ORIGINS", c.env)
			args := append(c.reach, "--addr", "127.0.0.1:0", "--disable-tls", "--authorized-agents", "agents", "--state-dir", "state", "--users", "users")
			if c.open {
				args = append(args, "--open")
			}
			cfg, err := parseConfig(args...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if err != nil {
				return
			}
			if got := strings.Join(cfg.Server.AllowedOrigins, " "); got != c.origins {
				t.Errorf("origins %q, want %q", got, c.origins)
			}
		})
	}
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestClientsBehindProxies sends raw requests, as a proxy would, to a broker that
// logs their addresses.
func TestClientsBehindProxies(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const request = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\x7f\x00\x00\x01\x04\xd2\x00\x50"
	for _, c := range []struct {
		name  string
		reach []string
		send  string
		want  string // in the log, or empty if the request must fail
	}{
		{"direct", nil, request + "X-Forwarded-For: 203.0.113.9\r\n\r\n", "peer=127.0.0.1"},
		{"X-Forwarded-For", []string{"--trusted-proxies", "127.0.0.1"}, request + "X-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n\r\n", "peer=203.0.113.9"},
		{"X-Forwarded-For from elsewhere", []string{"--trusted-proxies", "192.0.2.0/24"}, request + "X-Forwarded-For: 203.0.113.9\r\n\r\n", "peer=127.0.0.1"},
		{"PROXY v1", []string{"--trusted-proxies", "127.0.0.1", "--proxy-protocol"}, "PROXY TCP4 203.0.113.9 127.0.0.1 1234 80\r\n" + request + "\r\n", "peer=203.0.113.9"},
		{"PROXY v2", []string{"--trusted-proxies", "127.0.0.1", "--proxy-protocol"}, v2 + request + "\r\n", "peer=203.0.113.9"},
		{"PROXY, then a claim", []string{"--trusted-proxies", "127.0.0.1", "--proxy-protocol"}, "PROXY TCP4 203.0.113.9 127.0.0.1 1234 80\r\n" + request + "X-Forwarded-For: 198.51.100.1\r\n\r\n", "peer=203.0.113.9"},
		{"no PROXY header where one must be", []string{"--trusted-proxies", "127.0.0.1", "--proxy-protocol"}, request + "\r\n", ""},
		{"PROXY from elsewhere", []string{"--trusted-proxies", "192.0.2.0/24", "--proxy-protocol"}, "PROXY TCP4 203.0.113.9 127.0.0.1 1234 80\r\n" + request + "\r\n", ""},
		{"none from elsewhere", []string{"--trusted-proxies", "192.0.2.0/24", "--proxy-protocol"}, request + "\r\n", "peer=127.0.0.1"},
		{"an unexpected PROXY", nil, "PROXY TCP4 203.0.113.9 127.0.0.1 1234 80\r\n" + request + "\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, log := loggingBroker(t, c.reach)
			got := exchange(t, addr, c.send)
			if ok := strings.HasPrefix(got, "HTTP/1.1 200 "); ok != (c.want != "") {
				t.Fatalf("the response is %q", got)
			}
			if c.want != "" && !strings.Contains(log.String(), c.want+"\n") {
				t.Errorf("the log lacks %q:\n%s", c.want, log)
			}
		})
	}
}

// loggingBroker runs a broker that logs the addresses of requests, until the test
// ends.
func loggingBroker(t *testing.T, reach []string) (addr string, log *lockedBuffer) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "agents"), "")
	cfg, err := parseConfig(append(reach, "--addr", "127.0.0.1:0", "--addr-file", filepath.Join(dir, "addr"), "--disable-tls", "--open",
		"--authorized-agents", filepath.Join(dir, "agents"), "--state-dir", filepath.Join(dir, "state"),
		"--log-level", "debug", "--unsafe-logging")...)
	if err != nil {
		t.Fatal(err)
	}
	log = &lockedBuffer{}
	drain, done, reload := make(chan struct{}), make(chan error, 1), make(chan os.Signal)
	go func() {
		done <- serve(context.Background(), cfg, signals{drain: drain, reload: reload}, io.Discard, log)
	}()
	t.Cleanup(func() {
		close(drain)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case reload <- os.Interrupt: // taken once the broker runs
	case err := <-done:
		done <- err
		t.Fatal(err)
	}
	url := strings.TrimSpace(string(readFile(t, cfg.AddrFile)))
	return strings.TrimPrefix(url, "http://"), log
}

// TestNginxOfTheManual runs the configuration in doc/operating.md and sends a
// request with a forged X-Forwarded-For through it.
func TestNginxOfTheManual(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8 on its loopback interface")
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if nginx, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Skip("nginx is not installed; `make test` installs it (Debian: nginx-light)")
		}
	}
	_, rest, _ := strings.Cut(string(readFile(t, "../doc/operating.md")), "```nginx\n")
	location, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("doc/operating.md has no configuration for nginx")
	}
	addr, log := loggingBroker(t, []string{"--trusted-proxies", "127.0.0.1"})
	dir, port := t.TempDir(), freePort(t)
	writeFile(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {}
		http { access_log off; client_body_temp_path %[1]s/1; proxy_temp_path %[1]s/2; fastcgi_temp_path %[1]s/3; uwsgi_temp_path %[1]s/4; scgi_temp_path %[1]s/5;
		server { listen 127.0.0.1:%[2]s; %[3]s } }`, dir, port, strings.Replace(location, "127.0.0.1:8080", addr, 1)))
	background(t, exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"))
	const peer = "127.77.66.55"
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}).DialContext,
	}}
	waitFor(t, "nginx passes requests on", func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port+"/health", nil)
		if err != nil {
			return err
		}
		req.Header.Set("X-Forwarded-For", "203.0.113.9, 127.0.0.1")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", resp.Status)
		}
		return nil
	})
	if text := log.String(); !strings.Contains(text, "peer="+peer+"\n") || strings.Contains(text, "203.0.113.9") {
		t.Errorf("the log has the wrong address:\n%s", text)
	}
}

// exchange sends text and returns the response.
func exchange(t *testing.T, addr, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprint(conn, text); err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(conn) // the broker may reset the connection
	return string(got)
}
