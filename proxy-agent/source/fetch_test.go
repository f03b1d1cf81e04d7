package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/common/channel"
)

// quiet drops the server's messages about clients that hang up.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

var project = []member{{name: "Makefile", text: "all:\n"}}

func TestFetch(t *testing.T) {
	f := newFar(t)
	m, err := f.fetch(t.Context(), f.serves("/p.tar", tarOf(t, project...)))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 1 || m.Files[0].Path != "Makefile" || m.Files[0].SHA256 != sum([]byte("all:\n")) {
		t.Errorf("manifest %+v", m.Files)
	}
	if data, err := os.ReadFile(filepath.Join(f.dir, "Makefile")); err != nil || string(data) != "all:\n" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestReferencesThatAreRefused(t *testing.T) {
	f := newFar(t)
	good := f.serves("/p.tar", tarOf(t, project...))
	host := f.cfg.Hosts[0]
	with := func(change func(*channel.Source)) *channel.Source {
		s := *good
		change(&s)
		return &s
	}
	at := func(url string) *channel.Source { return with(func(s *channel.Source) { s.URL = url }) }
	for _, c := range []struct {
		ref  *channel.Source
		says string
	}{
		{at("http://" + host + "/p.tar"), "by https only"},
		{at("file:///etc/passwd.tar"), "by https only"},
		{at("https://user:secret@" + host + "/p.tar"), "without a user name"},
		{at("https://elsewhere.example.org/p.tar"), "does not fetch from elsewhere.example.org"},
		{at("https://127.0.0.1/p.tar"), "does not fetch from 127.0.0.1"}, // another port
		{at("https://127.0.0.1@elsewhere.example.org/p.tar"), "without a user name"},
		{at("https://\x7f/"), "is malformed"},
		{at("https://" + host + "/p.exe"), `cannot unpack "p.exe"`},
		{at("https://" + host + "/p?name=.tar"), "cannot unpack"},
		{with(func(s *channel.Source) { s.SHA256 = "ABC" }), `"ABC" is not a SHA-256`},
		{with(func(s *channel.Source) { s.SHA256 = strings.ToUpper(s.SHA256) }), "in lower-case hexadecimal"},
		{with(func(s *channel.Source) { s.StripComponents = -1 }), "strip_components is -1"},
		{at("https://" + host + "/missing.tar"), "answered 404 (Not Found) instead of the source"},
	} {
		f.refused(c.ref, channel.ProblemSource, c.says)
	}
	f.refused(with(func(s *channel.Source) { s.SHA256 = sum(nil) }), channel.ProblemContent, "the source has the SHA-256 "+good.SHA256+", not e3b0c442")

	f.cfg.Hosts = nil
	f.refused(good, channel.ProblemSource, "its operator allows no host (--source-hosts)")
}

// TestAddressesThatAreRefused needs no server: the agent makes no connection.
func TestAddressesThatAreRefused(t *testing.T) {
	f := newFar(t)
	hash := sum(nil)
	for _, host := range []string{
		"169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "0.0.0.0", "224.0.0.1", "100.64.0.1", "255.255.255.255",
		"[fe80::1]", "[fd00::1]", "[ff02::1]", "[::]", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]",
	} {
		f.cfg.Hosts = []string{host}
		f.refused(&channel.Source{URL: "https://" + host + "/p.tar", SHA256: hash}, channel.ProblemSource, "which is not a public address")
	}
	// The operator allows the name, but it resolves to this machine.
	good := f.serves("/p.tar", tarOf(t, project...))
	f.cfg.Loopback = false
	port := f.server.URL[strings.LastIndex(f.server.URL, ":"):]
	for _, host := range []string{"localhost", "127.0.0.1"} {
		f.cfg.Hosts = []string{host + port}
		f.refused(&channel.Source{URL: "https://" + host + port + "/p.tar", SHA256: good.SHA256}, channel.ProblemSource, "which is not a public address")
	}
}

func TestRedirects(t *testing.T) {
	f := newFar(t)
	data := tarOf(t, project...)
	good := f.serves("/p.tar", data)
	var referers []string
	f.mux.HandleFunc("GET /hop/{n}/p.tar", func(w http.ResponseWriter, r *http.Request) {
		referers = append(referers, r.Referer())
		n, _ := strconv.Atoi(r.PathValue("n"))
		to := fmt.Sprintf("/hop/%d/p.tar?secret", n-1)
		if n == 1 {
			to = "/p.tar"
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	hops := func(n int) *channel.Source {
		return &channel.Source{URL: fmt.Sprintf("%s/hop/%d/p.tar?secret", f.server.URL, n), SHA256: good.SHA256}
	}
	if _, err := f.fetch(t.Context(), hops(5)); err != nil {
		t.Errorf("five redirects: %v", err)
	}
	if said := strings.Join(referers, ""); said != "" {
		t.Errorf("it sends servers a referrer: %q", said)
	}
	f.refused(hops(6), channel.ProblemSource, "behind more than 5 redirects")

	for to, says := range map[string]string{
		"https://elsewhere.example.org/p.tar":              "does not fetch from elsewhere.example.org",
		"http://" + f.cfg.Hosts[0] + "/p.tar":              "by https only",
		"https://user@" + f.cfg.Hosts[0] + "/p.tar":        "without a user name",
		"https://169.254.169.254/latest/meta-data/iam.tar": "which is not a public address",
	} {
		name := "/to-" + sum([]byte(to)) + ".tar"
		f.mux.Handle("GET "+name, http.RedirectHandler(to, http.StatusMovedPermanently))
		if strings.Contains(to, "169.254") {
			f.cfg.Hosts = append(f.cfg.Hosts, "169.254.169.254")
		}
		f.refused(&channel.Source{URL: f.server.URL + name, SHA256: good.SHA256}, channel.ProblemSource, says)
	}
}

func TestDownloadsAreBounded(t *testing.T) {
	t.Run("announced size", func(t *testing.T) {
		f := newFar(t)
		f.cfg.MaxSize = 1000
		f.refused(f.serves("/p.tar", make([]byte, 1001)), channel.ProblemSizeLimit, "the source is 1001 bytes long, this agent fetches at most 1000 (--source-max-size)")
	})
	t.Run("endless", func(t *testing.T) {
		f := newFar(t)
		f.cfg.MaxSize = 100_000
		f.mux.HandleFunc("GET /p.tar", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 10_000)); err != nil {
					return
				}
			}
		})
		f.refused(&channel.Source{URL: f.server.URL + "/p.tar", SHA256: sum(nil)}, channel.ProblemSizeLimit, "longer than the 100000 bytes")
	})
	slow := func(f *far, asked chan<- struct{}) *channel.Source {
		f.mux.HandleFunc("GET /p.tar", func(w http.ResponseWriter, r *http.Request) {
			w.Write(make([]byte, 512))
			w.(http.Flusher).Flush()
			close(asked)
			<-r.Context().Done()
		})
		return &channel.Source{URL: f.server.URL + "/p.tar", SHA256: sum(nil)}
	}
	t.Run("slow", func(t *testing.T) {
		f := newFar(t)
		f.cfg.Time = 200 * time.Millisecond
		f.refused(slow(f, make(chan struct{})), channel.ProblemSource, "could not be fetched in 200ms")
	})
	t.Run("canceled", func(t *testing.T) {
		f := newFar(t)
		asked := make(chan struct{})
		ref := slow(f, asked)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		if _, err := f.fetch(ctx, ref); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		f := newFar(t)
		f.mux.HandleFunc("GET /p.tar", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.Write(make([]byte, 512))
		})
		f.refused(&channel.Source{URL: f.server.URL + "/p.tar", SHA256: sum(nil)}, channel.ProblemSource, "could not be fetched: unexpected EOF")
	})
}

// TestServerWithASelfSignedCertificate fetches from a server with a self-signed
// certificate.
func TestServerWithASelfSignedCertificate(t *testing.T) {
	f := newFar(t)
	ref := f.serves("/p.tar", tarOf(t, project...))
	f.cfg.RootCAs = newFar(t).cfg.RootCAs.Clone()
	f.cfg.RootCAs = nil
	f.refused(ref, channel.ProblemSource, "certificate signed by unknown authority")
}

func TestHostsThatAreSpelledWrong(t *testing.T) {
	for _, host := range []string{"", "https://example.org", "example.org/path", "*.example.org", "user@example.org", "example.org:0", "example.org:99999", "a b"} {
		if _, err := New(Config{Hosts: []string{host}}); err == nil {
			t.Errorf("%q was accepted", host)
		}
	}
	f, err := New(Config{Hosts: []string{"Example.ORG", "[2606:4700::1111]:8443"}})
	if err != nil || !f.hosts["example.org:443"] || !f.hosts["[2606:4700::1111]:8443"] {
		t.Errorf("%v, %v", f, err)
	}
}
