//go:build unix

package session

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/provenance"
	"github.com/farforge/farforge/proxy-agent/source"
)

func TestSourceByReference(t *testing.T) {
	var archive bytes.Buffer
	out := tar.NewWriter(&archive)
	script := "mkdir $1; cat $0 > $1/app.bin"
	if err := out.WriteHeader(&tar.Header{Name: "project-1.0/build.sh", Mode: 0o644, Size: int64(len(script))}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(out, script)
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(archive.Bytes())
	digest := hex.EncodeToString(sum[:])
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(archive.Bytes()) }))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	sources, err := source.New(source.Config{Hosts: []string{strings.TrimPrefix(server.URL, "https://")}, Loopback: true, RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(w *world, hash string) *client {
		c := w.connect(t.Context(), allChannels)
		c.send(&channel.Message{Type: channel.TypeBuild, Build: &channel.Build{
			Project: "test", Source: &channel.Source{URL: server.URL + "/p.tar", SHA256: hash, StripComponents: 1},
		}})
		return c
	}
	t.Run("is built and attested", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Sources = sources })
		c := ask(w, digest)
		for range 3 { // stages
			c.next(channel.TypeStage)
		}
		dir := c.firmware()
		if r, _ := c.result(); r.Outcome != api.OutcomeSucceeded {
			t.Fatalf("result %+v, %+v", r, r.Problem)
		}
		if got := read(t, dir, "app.bin"); string(got) != script {
			t.Errorf("app.bin %q", got)
		}
		b, err := provenance.Verify(w.host.Key.Public(), read(t, dir, provenance.FileName), string(read(t, dir, provenance.SignatureName)))
		if err != nil || b.Source != digest {
			t.Errorf("%+v, %v", b, err)
		}
		if left := w.left(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	t.Run("with another hash", func(t *testing.T) {
		w := newWorld(t, func(c *Config) { c.Sources = sources })
		r, _ := ask(w, strings.Repeat("0", 64)).result()
		if r.Outcome != api.OutcomeRefused || r.Problem.Code != channel.ProblemContent || !strings.Contains(r.Problem.Message, "the source has the SHA-256 "+digest) {
			t.Errorf("result %+v, %+v", r, r.Problem)
		}
		if left := w.left(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	t.Run("is refused unless the operator allows it", func(t *testing.T) {
		r, _ := ask(newWorld(t), digest).result()
		if r.Outcome != api.OutcomeRefused || r.Problem.Code != channel.ProblemSource || !strings.Contains(r.Problem.Message, "--source-hosts") {
			t.Errorf("result %+v, %+v", r, r.Problem)
		}
	})
}
