package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/common/channel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func allowAll(string) error { return nil }

// join connects two peers over loopback.
func join(t testing.TB, labels []string, allow func(string) error) (client, agent *Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cert, err := NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	offer, err := NewOffer(ctx, Config{Certificate: cert, Loopback: true}, labels)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := offer.Description().Fingerprint(); err != nil || got != cert.Fingerprint() {
		t.Fatalf("the offer announces %q, %v; the certificate is %s", got, err, cert.Fingerprint())
	}
	agent, answer, err := NewAnswer(ctx, Config{Loopback: true}, offer.Description(), allow)
	if err != nil {
		t.Fatal(err)
	}
	client, err = offer.Connect(ctx, answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), agent.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := agent.Connected(ctx); err != nil {
		t.Fatal(err)
	}
	if agent.RemoteFingerprint() != cert.Fingerprint() {
		t.Fatalf("the agent saw %s in DTLS, the client presented %s", agent.RemoteFingerprint(), cert.Fingerprint())
	}
	if client.Relayed() || agent.Relayed() {
		t.Fatal("a loopback connection calls itself relayed")
	}
	return client, agent
}

func open(t testing.TB, c *Conn, label string) channel.Messages {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := c.Channel(ctx, label)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMessagesKeepTheirBoundsAndOrder(t *testing.T) {
	client, agent := join(t, []string{"source"}, allowAll)
	out, in := open(t, client, "source"), open(t, agent, "source")
	const count = 200 // much more than the buffer holds
	sent := make(chan error, 1)
	go func() {
		for i := range count {
			if err := out.WriteMessage(t.Context(), bytes.Repeat([]byte{byte(i)}, channel.MaxMessage-i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- out.WriteMessage(t.Context(), nil)
	}()
	for i := range count {
		m, err := in.ReadMessage(t.Context())
		if err != nil || len(m) != channel.MaxMessage-i || m[0] != byte(i) {
			t.Fatalf("message %d: %d bytes, %v", i, len(m), err)
		}
	}
	if m, err := in.ReadMessage(t.Context()); err != nil || len(m) != 0 {
		t.Fatalf("the empty message: %q, %v", m, err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if err := out.WriteMessage(t.Context(), make([]byte, channel.MaxMessage+1)); err == nil {
		t.Fatal("a message that is too long was sent")
	}
}

func TestReadingCanBeInterruptedWithoutLoss(t *testing.T) {
	client, agent := join(t, []string{"espctl"}, allowAll)
	out, in := open(t, client, "espctl"), open(t, agent, "espctl")
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		read := make(chan error, 1)
		go func() { _, err := in.ReadMessage(ctx); read <- err }()
		cancel()
		if err := <-read; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := out.WriteMessage(t.Context(), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		if m, err := in.ReadMessage(t.Context()); err != nil || string(m) != fmt.Sprint(i) {
			t.Fatalf("%q, %v", m, err)
		}
	}
}

func TestWriterWaitsForASlowReader(t *testing.T) {
	client, agent := join(t, []string{"firmware"}, allowAll)
	out := open(t, client, "firmware")
	open(t, agent, "firmware") // nothing reads it
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	written := 0
	for {
		err := out.WriteMessage(ctx, make([]byte, channel.MaxMessage))
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if written += channel.MaxMessage; written > 64<<20 {
			t.Fatal("64 MiB are buffered: nothing bounds the memory")
		}
	}
}

func TestChannelsThatAreNotAllowed(t *testing.T) {
	refusal := errors.New("not granted")
	client, agent := join(t, []string{"espctl", "pty"}, func(label string) error {
		if label == "pty" {
			return refusal
		}
		return nil
	})
	open(t, agent, "espctl")
	if _, err := open(t, client, "pty").ReadMessage(t.Context()); !errors.Is(err, io.EOF) {
		t.Fatalf("a refused channel should be closed by the other end: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := agent.Channel(ctx, "pty"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the refused channel was opened: %v", err)
	}
}

func TestEachEndNoticesThatTheOtherCloses(t *testing.T) {
	for _, name := range []string{"client", "agent"} {
		t.Run(name, func(t *testing.T) {
			client, agent := join(t, []string{"espctl"}, allowAll)
			open(t, client, "espctl")
			in := open(t, agent, "espctl")
			first, second := client, agent
			if name == "agent" {
				first, second = agent, client
				in = open(t, client, "espctl")
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := in.ReadMessage(t.Context()); !errors.Is(err, ErrLost) && !errors.Is(err, io.EOF) {
				t.Fatalf("reading from a connection that was closed: %v", err)
			}
			select {
			case <-second.Done():
				if !errors.Is(second.Err(), ErrLost) {
					t.Fatal(second.Err())
				}
			case <-time.After(5 * time.Second):
				t.Fatal("five seconds later the other end has not noticed")
			}
		})
	}
}

func TestBadDescriptions(t *testing.T) {
	offer, err := NewOffer(t.Context(), Config{Loopback: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	good := string(offer.Description())
	for name, text := range map[string]string{
		"empty":          "",
		"no SDP":         "hello",
		"no fingerprint": strings.ReplaceAll(good, "a=fingerprint", "a=other"),
		"too long":       good + strings.Repeat("a=x\r\n", 10<<10),
	} {
		if conn, _, err := NewAnswer(t.Context(), Config{Loopback: true}, Description(text), allowAll); err == nil {
			conn.Close()
			t.Errorf("%s: answered", name)
		}
		if _, err := Description(text).Fingerprint(); err == nil {
			t.Errorf("%s: has a fingerprint", name)
		}
	}
	if _, err := offer.Connect(t.Context(), "hello"); err == nil {
		t.Error("an answer that is not SDP was accepted")
	}
}

func TestGivingUp(t *testing.T) {
	offer, err := NewOffer(t.Context(), Config{Loopback: true}, []string{"espctl"})
	if err != nil {
		t.Fatal(err)
	}
	agent, answer, err := NewAnswer(t.Context(), Config{Loopback: true}, offer.Description(), allowAll)
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := offer.Connect(ctx, answer); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func FuzzDescription(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 AB\r\na=candidate:1 1 udp 7 10.0.0.1 4000 typ host\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := Description(text)
		if print, err := d.Fingerprint(); err == nil && print != strings.ToUpper(print) {
			t.Fatalf("%q is not in the form of RFC 8122", print)
		}
		edited, err := d.edit(func(string) (string, bool, error) { return "", false, nil })
		if err == nil && len(edited.candidates()) > 0 {
			t.Fatalf("candidates are left in %q", edited)
		}
		_ = d.Trickles()
	})
}

func BenchmarkThroughput(b *testing.B) {
	client, agent := join(b, []string{"source"}, allowAll)
	out, in := open(b, client, "source"), open(b, agent, "source")
	message := make([]byte, channel.MaxMessage)
	b.SetBytes(channel.MaxMessage)
	done := make(chan error, 1)
	b.ResetTimer()
	go func() {
		for range b.N {
			if err := out.WriteMessage(b.Context(), message); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range b.N {
		if _, err := in.ReadMessage(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

func BenchmarkConnect(b *testing.B) {
	for b.Loop() {
		client, agent := join(b, []string{"espctl"}, allowAll)
		open(b, client, "espctl")
		if err := errors.Join(client.Close(), agent.Close()); err != nil {
			b.Fatal(err)
		}
	}
}
