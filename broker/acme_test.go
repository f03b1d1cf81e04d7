package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/farforge/farforge/common/front/fronttest"
)

// The ACME server of these tests is Pebble, Let's Encrypt's server for testing. The
// tests build it; it is not a dependency of the module.
const pebbleVersion = "v2.10.1"

// buildPebble builds Pebble and its DNS server. It skips the test only if it cannot
// download their source.
func buildPebble(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install",
		"github.com/letsencrypt/pebble/v2/cmd/pebble@"+pebbleVersion,
		"github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@"+pebbleVersion)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	for _, offline := range []string{"dial tcp", "no such host", "connection refused", "i/o timeout", "module lookup disabled"} {
		if err != nil && bytes.Contains(out, []byte(offline)) {
			t.Skipf("the module proxy is out of reach, so Pebble cannot be built: %s", out)
		}
	}
	if err != nil {
		t.Fatalf("build Pebble: %v\n%s", err, out)
	}
	return dir
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// pebble is a running ACME server.
type pebble struct {
	directory, caFile string
	management        string
	http              *http.Client
}

// startPebble starts an ACME server that resolves every name to loopback, validates
// challenges on the two ports, and issues certificates that are valid for life.
func startPebble(t *testing.T, programs, httpPort, tlsPort string, life time.Duration) *pebble {
	t.Helper()
	dir := t.TempDir()
	dns, admin, api, management := freePort(t), freePort(t), freePort(t), freePort(t)
	ca := fronttest.NewCA(t)
	cert, key := ca.Issue("127.0.0.1")
	config := filepath.Join(dir, "config.json")
	writeFile(t, config, fmt.Sprintf(`{"pebble": {"listenAddress": "127.0.0.1:%s", "managementListenAddress": "127.0.0.1:%s",
		"certificate": %q, "privateKey": %q, "httpPort": %s, "tlsPort": %s, "ocspResponderURL": "", "retryAfter": {"authz": 1, "order": 1},
		"keyAlgorithm": "ecdsa", "profiles": {"default": {"description": "for a test", "validityPeriod": %d}}}}`,
		api, management, cert, key, httpPort, tlsPort, int(life/time.Second)))
	background(t, exec.Command(filepath.Join(programs, "pebble-challtestsrv"), "-dnsserver", "127.0.0.1:"+dns, "-management", "127.0.0.1:"+admin,
		"-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""))
	server := exec.Command(filepath.Join(programs, "pebble"), "-config", config, "-dnsserver", "127.0.0.1:"+dns)
	server.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	background(t, server)

	p := &pebble{
		directory: "https://127.0.0.1:" + api + "/dir", caFile: ca.File(), management: "https://127.0.0.1:" + management,
		http: &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, DisableKeepAlives: true}},
	}
	waitFor(t, "Pebble answers", func() error { _, err := p.get(p.directory); return err })
	waitFor(t, "the DNS server answers", func() error {
		conn, err := net.Dial("tcp", "127.0.0.1:"+dns)
		if err == nil {
			_ = conn.Close()
		}
		return err
	})
	return p
}

func (p *pebble) get(url string) ([]byte, error) {
	resp, err := p.http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// roots are what its certificates are checked against.
func (p *pebble) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	data, err := p.get(p.management + "/roots/0")
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(data) {
		t.Fatalf("Pebble's root: %v %s", err, data)
	}
	return pool
}

// TestACME makes the broker get certificates from a real ACME server, by each
// challenge alone, and renew them.
func TestACME(t *testing.T) {
	programs := buildPebble(t)
	const first, second = "broker.example.org", "other.example.org"
	for _, c := range []struct {
		name  string
		flags []string
	}{
		{name: "TLS-ALPN-01", flags: []string{"--acme-http-addr", ""}},
		{name: "HTTP-01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			apiPort, plainPort, nowhere := freePort(t), freePort(t), freePort(t)
			httpPort, tlsPort := nowhere, apiPort
			if c.name == "HTTP-01" {
				httpPort, tlsPort = plainPort, nowhere
			}
			const life = 24 * time.Second
			p := startPebble(t, programs, httpPort, tlsPort, life)
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "agents"), "")
			args := append([]string{
				"--addr", "127.0.0.1:" + apiPort, "--acme-hostnames", first + "," + second, "--acme-directory", p.directory,
				"--acme-ca-file", p.caFile, "--acme-email", "operator@example.org", "--acme-http-addr", "127.0.0.1:" + plainPort,
				"--authorized-agents", filepath.Join(dir, "agents"), "--state-dir", filepath.Join(dir, "state"), "--open",
			}, c.flags...)
			log := background(t, brokerCommand(t, args...))
			waitFor(t, "the broker listens", func() error {
				if !strings.Contains(log.String(), "as https://"+first) {
					return fmt.Errorf("it says %s", log)
				}
				return nil
			})

			roots := p.roots(t)
			serial := map[string]*big.Int{}
			for _, host := range []string{first, second} {
				waitFor(t, "there is a certificate for "+host, func() error {
					if !strings.Contains(log.String(), `msg="certificate obtained" host=`+host) {
						return fmt.Errorf("not yet")
					}
					return nil
				})
				cert := handshake(t, apiPort, &tls.Config{ServerName: host, RootCAs: roots})
				if cert.PublicKeyAlgorithm != x509.ECDSA {
					t.Errorf("%s has a certificate with %v", host, cert.PublicKeyAlgorithm)
				}
				serial[host] = cert.SerialNumber
			}
			if cert := handshake(t, apiPort, &tls.Config{InsecureSkipVerify: true}); cert.SerialNumber.Cmp(serial[first]) != 0 {
				t.Error("a client that names no host does not get the first one's certificate")
			}
			if _, err := tls.Dial("tcp", "127.0.0.1:"+apiPort, &tls.Config{ServerName: "stranger.example.org", InsecureSkipVerify: true}); err == nil {
				t.Error("a certificate is served for a name that is not ours")
			}
			if info, err := os.Stat(filepath.Join(dir, "state", "certificates")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the cache: %v, %v", info, err)
			}
			if c.name == "HTTP-01" {
				wantRedirect(t, "http://127.0.0.1:"+plainPort+"/health", "https://"+first+"/health")
			}
			// Autocert renews when a third of the certificate's life is left.
			waitFor(t, "the certificate is renewed", func() error {
				cert := handshake(t, apiPort, &tls.Config{ServerName: first, RootCAs: roots})
				if cert.SerialNumber.Cmp(serial[first]) == 0 {
					return fmt.Errorf("it is the old one still, until %v", cert.NotAfter)
				}
				return nil
			})
			waitFor(t, "the log has the renewal", func() error {
				if !strings.Contains(log.String(), "host="+first+" renewed=true") {
					return fmt.Errorf("it says %s", log)
				}
				return nil
			})
		})
	}
}

func wantRedirect(t *testing.T, from, to string) {
	t.Helper()
	client := &http.Client{
		Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusPermanentRedirect || resp.Header.Get("Location") != to {
		t.Errorf("%s: %s to %q, want %q", from, resp.Status, resp.Header.Get("Location"), to)
	}
}

// handshake returns the broker's certificate and checks that a request works.
func handshake(t *testing.T, port string, c *tls.Config) *x509.Certificate {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", "127.0.0.1:"+port, c)
	if err != nil {
		t.Fatalf("handshake for %q: %v", c.ServerName, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if got, err := io.ReadAll(conn); err != nil || !bytes.Contains(got, []byte(`"status":"ok"`)) {
		t.Errorf("over TLS: %q, %v", got, err)
	}
	return conn.ConnectionState().PeerCertificates[0]
}

// brokerCommand runs the test binary as the broker.
func brokerCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "broker")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return exec.Command(link, args...)
}

// background runs a program until the test ends and collects its output.
func background(t *testing.T, cmd *exec.Cmd) *lockedBuffer {
	t.Helper()
	said := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), said)
		}
	})
	return said
}

// waitFor polls until check succeeds.
func waitFor(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after a minute still not: %s: %v", what, err)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
