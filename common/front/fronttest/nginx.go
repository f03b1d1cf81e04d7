package fronttest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Nginx is a real nginx that fronts for other sites, like a content delivery
// network: it has a certificate of its own and routes by Host.
type Nginx struct {
	// Addr is its address on loopback.
	Addr string
	dir  string
}

// StartNginx starts an nginx with a certificate for the names. routes are the URLs
// behind it, by host; any other host gets 421 (RFC 9110, section 15.5.20).
// directives are for the hosts of routes. It skips the test if nginx is not
// installed.
func StartNginx(t testing.TB, ca *CA, h2 bool, names []string, routes map[string]string, directives ...string) *Nginx {
	t.Helper()
	program := find()
	if program == "" {
		t.Skip("nginx is not installed; `make test` installs it (Debian: nginx-light)")
	}
	certFile, keyFile := ca.Issue(names...)
	n := &Nginx{Addr: freeAddress(t), dir: t.TempDir()}
	listen := n.Addr + " ssl"
	if h2 {
		listen += " http2"
	}
	var config strings.Builder
	fmt.Fprintf(&config, `daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log warn;
events {}
http {
	log_format asked "$server_protocol $ssl_server_name $host $request_method";
	access_log %[1]s/access.log asked;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	ssl_protocols TLSv1.2 TLSv1.3;
	ssl_certificate %[2]s;
	ssl_certificate_key %[3]s;
	server { listen %[4]s default_server; return 421; }
`, n.dir, certFile, keyFile, listen)
	for host, to := range routes {
		fmt.Fprintf(&config, `	server {
		listen %s;
		server_name %s;
		location / {
			proxy_pass %s;
			proxy_set_header Host $http_host;
			proxy_http_version 1.1;
			proxy_buffering off;
			proxy_ssl_server_name on;
			%s
		}
	}
`, listen, host, to, strings.Join(directives, "\n"))
	}
	config.WriteString("}\n")
	file := filepath.Join(n.dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-p", n.dir, "-c", file, "-e", filepath.Join(n.dir, "start.log"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(n.dir, "error.log"))
			t.Logf("nginx said:\n%s%s", said.String(), log)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.DialTimeout("tcp", n.Addr, time.Second)
		if err == nil {
			conn.Close()
			return n
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s", said.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not listen: %v", err)
		}
	}
}

// Asked returns a line for each request so far: protocol, server name of the
// handshake, host, method.
func (n *Nginx) Asked(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// find returns the path of nginx, which Debian installs outside an ordinary user's
// PATH.
func find() string {
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
