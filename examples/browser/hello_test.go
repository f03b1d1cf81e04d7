package browser

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/examples/internal/launch"
)

// answering is a page that answers an offer, as a DTLS client.
const answering = `<!doctype html><script type="module">
const pc = new RTCPeerConnection()
await pc.setRemoteDescription({type: "offer", sdp: await (await fetch("/offer")).text()})
await pc.setLocalDescription(await pc.createAnswer())
await fetch("/answer", {method: "POST", body: JSON.stringify(pc.localDescription)})
</script>`

// TestClientHelloIsTheBrowsers captures the ClientHello of the Chromium that is
// installed, and Farforge's own, and compares what a filter can see of them.
func TestClientHelloIsTheBrowsers(t *testing.T) {
	launch.Need(t, "chromium")
	browser, own := browserHello(t), ownHello(t)
	if browser != own {
		t.Errorf("Chromium's ClientHello is\n%s\nFarforge's is\n%s", browser, own)
	}
}

func browserHello(t *testing.T) string {
	t.Helper()
	offer, err := peer.NewOffer(t.Context(), peer.Config{Loopback: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	x := newCapture(t)
	shown := x.insert(t, offer.Description())
	answers := make(chan peer.Description, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, answering)
	})
	mux.HandleFunc("GET /offer", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, string(shown)) })
	mux.HandleFunc("POST /answer", func(_ http.ResponseWriter, r *http.Request) {
		var d struct{ SDP peer.Description }
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
			t.Error(err)
		}
		answers <- d.SDP
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	startChromium(t, server.URL)
	select {
	case answer := <-answers:
		if _, err := offer.Connect(t.Context(), answer); err != nil {
			t.Fatal(err)
		}
	case <-time.After(90 * time.Second):
		t.Fatal("the page does not answer")
	}
	return x.form(t)
}

func ownHello(t *testing.T) string {
	t.Helper()
	cfg := peer.Config{Loopback: true}
	offer, err := peer.NewOffer(t.Context(), cfg, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer offer.Close()
	conn, answer, err := peer.NewAnswer(t.Context(), cfg, strip(offer.Description()), func(string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	x := newCapture(t)
	if _, err := offer.Connect(t.Context(), x.insert(t, answer)); err != nil {
		t.Fatal(err)
	}
	return x.form(t)
}

// startChromium opens a page until the test ends; see site.visit for the flags.
func startChromium(t *testing.T, page string) {
	t.Helper()
	profile, err := os.MkdirTemp("", "farforge-chromium")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	cmd := exec.Command("chromium",
		"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+profile,
		"--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns", page)
	cmd.Env = append(os.Environ(), "HOME="+profile)
	launch.Start(t, cmd)
}

// capture forwards packets between two ends and keeps those with a ClientHello.
type capture struct {
	conn *net.UDPConn
	near netip.AddrPort

	mu     sync.Mutex
	hellos [][]byte
}

func newCapture(t *testing.T) *capture {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return &capture{conn: conn}
}

var candidates = regexp.MustCompile(`a=candidate:\S+ \S+ \S+ \S+ (\S+) (\d+) .*\r\n`)

func strip(d peer.Description) peer.Description {
	return peer.Description(candidates.ReplaceAllString(string(d), ""))
}

// insert puts the capture in the place of the description's maker.
func (x *capture) insert(t *testing.T, d peer.Description) peer.Description {
	t.Helper()
	found := candidates.FindStringSubmatch(string(d))
	if found == nil {
		t.Fatalf("no candidate in\n%s", d)
	}
	x.near = netip.MustParseAddrPort(net.JoinHostPort(found[1], found[2]))
	var done sync.WaitGroup
	done.Go(x.forward)
	t.Cleanup(func() { x.conn.Close(); done.Wait() })
	_, port, _ := net.SplitHostPort(x.conn.LocalAddr().String())
	return peer.Description(strings.TrimSuffix(string(strip(d)), "\r\n") + "\r\na=candidate:1 1 udp 2130706431 127.0.0.1 " + port + " typ host\r\n")
}

func (x *capture) forward() {
	var far netip.AddrPort
	for buf := make([]byte, 2048); ; {
		n, from, err := x.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		to := x.near
		if from == x.near {
			to = far
		} else {
			far = from
		}
		if n > 25 && buf[0] == 22 && buf[13] == 1 {
			x.mu.Lock()
			x.hellos = append(x.hellos, slices.Clone(buf[:n]))
			x.mu.Unlock()
		}
		if to.IsValid() {
			_, _ = x.conn.WriteToUDPAddrPort(buf[:n], to)
		}
	}
}

// form describes the first ClientHello without what is random in it: the order of
// extensions, and keys.
func (x *capture) form(t *testing.T) string {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	var b strings.Builder
	var message []byte
	total := -1
	for _, p := range x.hellos {
		if len(message) == total {
			break
		}
		total = int(p[14])<<16 | int(p[15])<<8 | int(p[16])
		message = append(message, p[25:]...)
		fmt.Fprintf(&b, "packet of %d bytes, record version %x\n", len(p), p[1:3])
	}
	if len(message) != total {
		t.Fatalf("%d of %d bytes of a ClientHello", len(message), total)
	}
	version, rest := message[:2], message[34:]
	session, rest := rest[1:1+rest[0]], rest[1+rest[0]:]
	cookie, rest := rest[1:1+rest[0]], rest[1+rest[0]:]
	n := binary.BigEndian.Uint16(rest)
	suites, rest := rest[2:2+n], rest[2+n:]
	compression, rest := rest[1:1+rest[0]], rest[1+rest[0]:]
	fmt.Fprintf(&b, "version %x, session %x, cookie %x, suites %x, compression %x\n", version, session, cookie, suites, compression)
	var extensions []string
	for rest = rest[2:]; len(rest) > 0; {
		kind, n := binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
		body := rest[4 : 4+n]
		if kind == 0x33 {
			body = groups(body)
		}
		extensions = append(extensions, fmt.Sprintf("extension %04x of %d bytes: %x\n", kind, n, body))
		rest = rest[4+n:]
	}
	slices.Sort(extensions)
	return b.String() + strings.Join(extensions, "")
}

// groups returns the groups and lengths of key shares.
func groups(shares []byte) []byte {
	var out []byte
	for rest := shares[2:]; len(rest) > 0; rest = rest[4+binary.BigEndian.Uint16(rest[2:]):] {
		out = append(out, rest[:4]...)
	}
	return out
}
