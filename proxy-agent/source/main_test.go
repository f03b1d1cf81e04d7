package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/channel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member is an entry of a test's archive.
type member struct {
	name, text string
	mode       int64 // 0644 if 0
	flag       byte  // tar.TypeReg if 0
	link       string
}

func tarOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: m.mode, Typeflag: m.flag, Linkname: m.link, Size: int64(len(m.text))}
		if m.mode == 0 {
			h.Mode = 0o644
		}
		if m.flag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if m.flag == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: m.flag, PAXRecords: map[string]string{"comment": "0123"}}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstdOf(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func zipOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Deflate}
		mode := fs.FileMode(0o644)
		if m.mode != 0 {
			mode = fs.FileMode(m.mode)
		}
		switch m.flag {
		case tar.TypeSymlink:
			mode, m.text = 0o777|fs.ModeSymlink, m.link
		case tar.TypeFifo:
			mode |= fs.ModeNamedPipe
		case tar.TypeChar:
			mode |= fs.ModeDevice | fs.ModeCharDevice
		}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(m.name, "/") {
			continue
		}
		if _, err := io.WriteString(f, m.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// far is a real HTTPS server, and a fetcher that may use it.
type far struct {
	t      *testing.T
	mux    *http.ServeMux
	server *httptest.Server
	cfg    Config
	dir    string // of the last fetched project
}

func newFar(t *testing.T) *far {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return &far{t: t, mux: mux, server: server, cfg: Config{
		Hosts: []string{strings.TrimPrefix(server.URL, "https://")}, Loopback: true, RootCAs: roots,
	}}
}

// serves publishes data at the path.
func (f *far) serves(path string, data []byte) *channel.Source {
	f.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { w.Write(data) })
	return &channel.Source{URL: f.server.URL + path, SHA256: sum(data)}
}

func (f *far) fetch(ctx context.Context, ref *channel.Source) (*channel.Manifest, error) {
	f.t.Helper()
	fetcher, err := New(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.dir = f.t.TempDir()
	into, scratch := openRoot(f.t, f.dir), openRoot(f.t, f.t.TempDir())
	return fetcher.Fetch(ctx, ref, scratch, into)
}

// refused expects a problem with the code and the text, and an empty project
// directory.
func (f *far) refused(ref *channel.Source, code channel.ProblemCode, says string) {
	f.t.Helper()
	_, err := f.fetch(f.t.Context(), ref)
	var p *channel.Problem
	if !errors.As(err, &p) || p.Code != code || !strings.Contains(p.Message, says) {
		f.t.Errorf("got %v, want %s: %q", err, code, says)
	}
	if left, _ := filepath.Glob(filepath.Join(f.dir, "*")); len(left) > 0 {
		f.t.Errorf("it left %q", left)
	}
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}
