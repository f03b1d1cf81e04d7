package credential

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh/agent"

	"golang.org/x/crypto/ssh"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// asked opens the credential, requests a grant with it and returns the token that the
// broker got.
func asked(t *testing.T, b *fakefarm.Broker, o Options, ask func(string) ([]byte, error), getenv func(string) string) (token, name string, err error) {
	t.Helper()
	config := signaling.Config{URL: b.URL}
	c, err := o.Open(config, ask, getenv)
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	config.Token = c.Token
	client, err := signaling.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	need := &api.GrantRequest{
		PeerFingerprint: strings.Repeat("AB:", 31) + "AB", RequiredChannels: []string{"espctl"}, CPUCores: 1, MemoryMB: 1, TimeoutSecs: 1,
	}
	if _, err := client.RequestGrant(t.Context(), need); err != nil {
		return "", c.Name, err
	}
	tokens := b.Tokens()
	return tokens[len(tokens)-1], c.Name, nil
}

func TestSecretsReachTheBroker(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, nil)
	file := write(t, "key-in-file\n", 0o600)
	both := environment(AccessKeyVariable, "key-in-env", OIDCTokenVariable, "token-in-env")
	for _, tt := range []struct {
		name        string
		options     Options
		getenv      func(string) string
		token, said string
	}{
		{"anonymous", Options{}, environment(), "", ""},
		{"access key file", Options{AccessKeyFile: file}, environment(), "key-in-file", "the access key in " + file},
		{"access key in the environment", Options{}, environment(AccessKeyVariable, " key-in-env\n"), "key-in-env", "the access key in FARFORGE_ACCESS_KEY"},
		{"OIDC token file", Options{OIDCTokenFile: file}, environment(), "key-in-file", "the OIDC token in " + file},
		{"OIDC token in the environment", Options{}, environment(OIDCTokenVariable, "token-in-env"), "token-in-env", "the OIDC token in FARFORGE_OIDC_TOKEN"},
		{"a flag wins over the environment", Options{AccessKeyFile: file}, both, "key-in-file", "the access key in " + file},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, said, err := asked(t, b, tt.options, nil, tt.getenv)
			if err != nil || token != tt.token || said != tt.said {
				t.Errorf("the broker got %q by %q, %v", token, said, err)
			}
		})
	}
}

// TestByteOrderMarkInASecret: editors on Windows write one.
func TestByteOrderMarkInASecret(t *testing.T) {
	if got, err := readSecret("the key", write(t, "\ufeffsecret\r\n", 0o600)); err != nil || got != "secret" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := write(t, "key", 0o600)
	open := write(t, "secret-that-others-read", 0o644)
	for _, tt := range []struct {
		name       string
		options    Options
		getenv     func(string) string
		want, hint string
	}{
		{"two flags", Options{AccessKeyFile: good, UserKey: good}, environment(), "contradict each other", "choose one"},
		{"two variables", Options{}, environment(AccessKeyVariable, "a", OIDCTokenVariable, "b"), "are both set", "unset one"},
		{"readable for others", Options{AccessKeyFile: open}, environment(), "mode 0644", "chmod 600 " + open},
		{"token readable for others", Options{OIDCTokenFile: open}, environment(), "mode 0644", "chmod 600 " + open},
		{"user key readable for others", Options{UserKey: write(t, "x", 0o640)}, environment(), "chmod 600", ""},
		{"missing", Options{AccessKeyFile: good + "-not"}, environment(), "no such file", ""},
		{"a folder", Options{AccessKeyFile: t.TempDir()}, environment(), "not a regular file", ""},
		{"empty", Options{AccessKeyFile: write(t, "\n", 0o600)}, environment(), "it is empty", ""},
		{"two lines", Options{AccessKeyFile: write(t, "a\nb\n", 0o600)}, environment(), "not a single line", ""},
		{"endless", Options{AccessKeyFile: write(t, strings.Repeat("x", 1<<20), 0o600)}, environment(), "longer than", ""},
		{"unknown issuer", Options{OIDC: "gitlab"}, environment(), `"gitlab"`, "--oidc-token-file"},
		{"audience for nothing", Options{Audience: "x"}, environment(), "--oidc-audience", ""},
		{"not in GitHub Actions", Options{OIDC: "github"}, environment(), "are not set", "id-token: write"},
		{"a secret for http", Options{OIDC: "github"}, environment(githubURL, "http://192.0.2.1/", githubToken, "x"), "not an https URL", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.options.Open(signaling.Config{URL: "http://127.0.0.1:1"}, nil, tt.getenv)
			var e *cli.Error
			if !errors.As(err, &e) || e.Exit != cli.Usage || !strings.Contains(err.Error(), tt.want) || !strings.Contains(strings.Join(e.Hints, "\n"), tt.hint) {
				t.Errorf("got %v, %+v", err, e)
			}
			if e != nil && strings.Contains(err.Error(), "secret-that") {
				t.Error("the message shows the secret")
			}
		})
	}
}

// TestTokenFileIsReadAgain: issuers of tokens replace the file.
func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	path := write(t, "first", 0o600)
	c, err := (&Options{OIDCTokenFile: path}).Open(signaling.Config{}, nil, environment())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if token, err := c.Token(t.Context()); token != "second" || err != nil {
		t.Errorf("got %q, %v", token, err)
	}
}

func TestUserKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "id_ed25519")
	key, err := identity.GenerateKey(path, "me")
	if err != nil {
		t.Fatal(err)
	}
	b := fakefarm.New(t, nil)
	_, name, err := asked(t, b, Options{UserKey: path}, nil, environment())
	var p *api.Problem
	if !errors.As(err, &p) || p.Status != 401 || name != "the SSH key "+key.Fingerprint() {
		t.Fatalf("an unlisted key gets %v as %q", err, name)
	}
	b.Set(func(s *fakefarm.Settings) { s.Users = []string{key.Fingerprint()} })
	if token, _, err := asked(t, b, Options{UserKey: path}, nil, environment()); err != nil || token != fakefarm.SessionToken(key.Fingerprint()) {
		t.Errorf("the broker got %q, %v", token, err)
	}
}

// TestUserKeyInSSHAgent names the public half; an agent on a real socket holds the private
// one.
func TestUserKeyInSSHAgent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "id")
	key, err := identity.GenerateKey(path, "me")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, conn) // until the client hangs up
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-served })
	b := fakefarm.New(t, nil)
	b.Set(func(s *fakefarm.Settings) { s.Users = []string{key.Fingerprint()} })
	token, _, err := asked(t, b, Options{UserKey: path + ".pub"}, nil, environment("SSH_AUTH_SOCK", socket))
	if err != nil || token != fakefarm.SessionToken(key.Fingerprint()) {
		t.Errorf("the broker got %q, %v", token, err)
	}
}

// TestPassphrase uses a key that the real ssh-keygen has protected.
func TestPassphrase(t *testing.T) {
	t.Parallel()
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	path := filepath.Join(t.TempDir(), "id")
	if out, err := exec.Command(keygen, "-q", "-a", "1", "-t", "ed25519", "-N", "open sesame", "-f", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tries := 0
	types := func(words ...string) func(string) ([]byte, error) {
		tries = 0
		return func(string) ([]byte, error) { tries++; return []byte(words[min(tries, len(words))-1]), nil }
	}
	if _, err := (&Options{UserKey: path}).Open(signaling.Config{URL: "http://127.0.0.1:1"}, types("wrong", "open sesame"), environment()); err != nil || tries != 2 {
		t.Errorf("after %d tries: %v", tries, err)
	}
	_, err = (&Options{UserKey: path}).Open(signaling.Config{URL: "http://127.0.0.1:1"}, types("wrong"), environment())
	if err == nil || tries != passphraseTries || cli.Code(err) != cli.Usage {
		t.Errorf("after %d tries: %v", tries, err)
	}
	_, err = (&Options{UserKey: path}).Open(signaling.Config{URL: "http://127.0.0.1:1"}, nil, environment())
	if err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("without a terminal: %v", err)
	}
}

// TestGitHub requests tokens from a real HTTP server that stands in for GitHub's.
func TestGitHub(t *testing.T) {
	t.Parallel()
	var audience string
	status, busy := http.StatusOK, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		audience = r.URL.Query().Get("audience")
		if r.Header.Get("Authorization") != "Bearer runner" || r.URL.Query().Get("api-version") != "2.0" || r.Method != http.MethodGet {
			t.Errorf("GitHub got %s %s, %q", r.Method, r.URL, r.Header)
		}
		if busy > 0 {
			busy--
			w.Header().Set("Retry-After", "1")
			w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[busy%2])
			return
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere?api-version=2.0")
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"value": "jwt-for-" + audience})
	}))
	t.Cleanup(server.Close)
	b := fakefarm.New(t, nil)
	getenv := environment(githubURL, server.URL+"/token?api-version=2.0", githubToken, "runner")
	token, name, err := asked(t, b, Options{OIDC: "github"}, nil, getenv)
	if err != nil || audience != b.URL || token != "jwt-for-"+b.URL || !strings.Contains(name, "GitHub Actions") {
		t.Errorf("token %q for %q as %q, %v", token, audience, name, err)
	}
	if token, _, err := asked(t, b, Options{OIDC: "github", Audience: "farm"}, nil, getenv); err != nil || token != "jwt-for-farm" {
		t.Errorf("token %q, %v", token, err)
	}
	busy = 2
	if token, _, err := asked(t, b, Options{OIDC: "github"}, nil, getenv); err != nil || token != "jwt-for-"+b.URL || busy != 0 {
		t.Errorf("from a service that was busy twice: token %q, %v", token, err)
	}
	for _, status = range []int{http.StatusForbidden, http.StatusFound} {
		_, _, err := asked(t, b, Options{OIDC: "github"}, nil, getenv)
		if cli.Code(err) != cli.Broker || !strings.Contains(err.Error(), "GitHub gives this job no OIDC token") || strings.Contains(err.Error(), "runner") {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestPassphraseIsNotWaitedForAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ask := AskOnTerminal(ctx); ask != nil {
		if _, err := ask("id"); cli.Code(err) != cli.Interrupted {
			t.Errorf("got %v", err)
		}
	}
}
