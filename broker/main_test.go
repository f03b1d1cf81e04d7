package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/identity"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"broker": main})
}

// TestScripts runs the command line as a user would; each script names the
// behavior that it tests.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "make-key": agentKey, "make-certificate": makeCertificate, "wait-for-file": ready, "fetch": get, "request-grant": askGrant, "check-mode": mode, "wait-for-page": await,
		},
	})
}

// exits is the script command "exits CODE PROGRAM ARGS...": the program must end
// with the code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("want exit code %d, got %v", want, err)
	}
}

// agentKey is the script command "make-key FILE NAME": it makes an SSH key and writes its public half.
func agentKey(ts *testscript.TestScript, neg bool, args []string) {
	_, err := identity.GenerateKey(strings.TrimSuffix(ts.MkAbs(args[0]), ".pub"), args[1])
	ts.Check(err)
}

// makeCertificate is the script command "make-certificate CERT KEY": it makes a self-signed certificate for 127.0.0.1.
func makeCertificate(ts *testscript.TestScript, neg bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}

// ready is the script command "wait-for-file FILE": it waits for the file that the broker writes when it listens.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s does not exist", args[0])
		}
	}
}

// get is the script command "fetch STATUS URL|FILE PATH [CA]": it fetches a page; FILE holds the URL. The body
// becomes standard output.
func get(ts *testscript.TestScript, neg bool, args []string) {
	url := args[1]
	if !strings.Contains(url, "://") {
		url = strings.TrimSpace(ts.ReadFile(args[1]))
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if len(args) > 3 {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(ts.ReadFile(args[3])))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	client := &http.Client{Transport: transport, Timeout: patience}
	resp, err := client.Get(url + args[2])
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s", body)
	if got := strconv.Itoa(resp.StatusCode); got != args[0] {
		ts.Fatalf("status %s, want %s", got, args[0])
	}
}

// await is the script command "wait-for-page FILE PATH REGEXP": it waits until a page has a line that matches; FILE holds
// the URL.
func await(ts *testscript.TestScript, neg bool, args []string) {
	want, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	url := strings.TrimSpace(ts.ReadFile(args[0])) + args[1]
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(url)
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		ts.Check(err)
		_ = resp.Body.Close()
		if want.Match(body) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("no line matches %s; the page has %s", want, body)
		}
	}
}

// askGrant is the script command "request-grant STATUS FILE [KEYFILE [PATIENCE]]":
// it requests a grant with the token in the file, and again until the status is
// the wanted one or the time is over. FILE holds the URL. The body becomes
// standard output.
func askGrant(ts *testscript.TestScript, neg bool, args []string) {
	var patience time.Duration
	if len(args) > 3 {
		var err error
		patience, err = time.ParseDuration(args[3])
		ts.Check(err)
	}
	const need = `{"peer_fingerprint":"AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB",` +
		`"required_channels":["espctl"],"cpu_cores":1,"memory_mb":1,"timeout_secs":1}`
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequest(http.MethodPost, strings.TrimSpace(ts.ReadFile(args[1]))+api.PathGrantRequest, strings.NewReader(need))
		ts.Check(err)
		if len(args) > 2 {
			req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
		}
		resp, err := client.Do(req)
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		ts.Check(err)
		ts.Check(resp.Body.Close())
		got := strconv.Itoa(resp.StatusCode)
		if got != args[0] && time.Now().Before(end) {
			continue
		}
		fmt.Fprintf(ts.Stdout(), "%s", body)
		if got != args[0] {
			ts.Fatalf("status %s, want %s: %s", got, args[0], body)
		}
		return
	}
}

// mode MODE FILE checks a file's permissions.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
