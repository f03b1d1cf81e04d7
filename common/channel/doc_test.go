package channel

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const channelsPage = "../../doc/channels.md"

// pageExamples returns the fenced blocks of doc/channels.md by their names.
func pageExamples(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile(channelsPage)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```(?:json|text) (\\w+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		if _, twice := found[m[1]]; twice {
			t.Errorf("two examples are named %s", m[1])
		}
		found[m[1]] = m[2]
	}
	return found
}

// TestPageExamplesDecode decodes each example of doc/channels.md into its type
// and compares the type's own encoding with the example.
func TestPageExamplesDecode(t *testing.T) {
	ex := pageExamples(t)
	delete(ex, "Exchange") // TestPageExchange plays it
	for name, text := range ex {
		var v any
		switch name {
		case "Manifest":
			v = &Manifest{}
		case "Need":
			v = &[]string{}
		case "Received":
			v = &Transferred{}
		default:
			msg, err := ParseControl([]byte(text))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !strings.HasPrefix(strings.ToLower(strings.TrimPrefix(name, "Failed")), string(msg.Type)) {
				t.Errorf("%s is a %s message", name, msg.Type)
			}
			v = &Message{}
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(v); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m, ok := v.(*Manifest); ok {
			if err := m.Validate(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(encoded, &a) != nil || json.Unmarshal([]byte(text), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("%s is %s, but its type encodes as %s", name, text, encoded)
		}
	}
	if len(ex) < 10 {
		t.Errorf("only %d examples were found", len(ex))
	}
}

// TestPageNamesEveryCode checks that the page lists every type, stage and code of
// the control messages.
func TestPageNamesEveryCode(t *testing.T) {
	page, err := os.ReadFile(channelsPage)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("control.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\s(?:Type|Stage|Problem)\w+\s+\w+\s+= "(\w+)"`).FindAllSubmatch(source, -1)
	if len(found) < 15 {
		t.Fatalf("only %d constants were found in control.go", len(found))
	}
	for _, m := range found {
		if !bytes.Contains(page, m[1]) {
			t.Errorf("doc/channels.md does not name %q", m[1])
		}
	}
}

// TestPageExchange plays the recorded exchange of doc/channels.md: its sender's
// messages against ReceiveTree, and its receiver's against SendTree. Compressed
// data is compared after decompression, since encoders differ.
func TestPageExchange(t *testing.T) {
	var script []scripted
	for line := range strings.Lines(pageExamples(t)["Exchange"]) {
		script = append(script, parseScripted(t, strings.TrimSpace(line)))
	}
	const file, content = "main.c", "int main(void) { return 0; }\n"

	t.Run("receiver", func(t *testing.T) {
		peer := &player{t: t, script: script, plays: 'S'}
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if _, _, err := ReceiveTree(t.Context(), peer, NewDirSink(root), nil); err != nil {
			t.Fatal(err)
		}
		peer.finish()
		if got, err := root.ReadFile(file); err != nil || string(got) != content {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	})
	t.Run("sender", func(t *testing.T) {
		peer := &player{t: t, script: script, plays: 'R'}
		manifest := &Manifest{}
		if err := json.Unmarshal(peer.object('S', ObjectManifest), manifest); err != nil {
			t.Fatal(err)
		}
		open := func(File) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }
		if _, err := SendTree(t.Context(), peer, manifest, open, nil); err != nil {
			t.Fatal(err)
		}
		peer.finish()
	})
}

// scripted is one line of the exchange.
type scripted struct {
	from    byte // 'S' or 'R'
	message []byte
}

func parseScripted(t *testing.T, line string) scripted {
	t.Helper()
	from, rest, _ := strings.Cut(line, " ")
	kind, data, _ := strings.Cut(rest, " ")
	if len(from) != 1 || len(kind) != 1 {
		t.Fatalf("not a line of an exchange: %q", line)
	}
	payload := []byte(data)
	if kind == "D" {
		var err error
		if payload, err = hex.DecodeString(data); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return scripted{from[0], append([]byte(kind), payload...)}
}

// player is the far end of a channel that plays one side of the exchange and
// collects what the near end sends.
type player struct {
	t      *testing.T
	script []scripted
	plays  byte
	at     int
	sent   [][]byte
}

func (p *player) ReadMessage(context.Context) ([]byte, error) {
	for ; p.at < len(p.script); p.at++ {
		if line := p.script[p.at]; line.from == p.plays {
			p.at++
			return line.message, nil
		}
	}
	return nil, io.EOF
}

func (p *player) WriteMessage(_ context.Context, message []byte) error {
	p.sent = append(p.sent, bytes.Clone(message))
	return nil
}

func (p *player) Close() error { return nil }

// finish compares the objects that the near end sent with those of the script.
func (p *player) finish() {
	p.t.Helper()
	var want [][]byte
	for _, line := range p.script {
		if line.from != p.plays {
			want = append(want, line.message)
		}
	}
	if got, want := objects(p.t, p.sent), objects(p.t, want); !reflect.DeepEqual(got, want) {
		p.t.Errorf("sent %q, want %q", got, want)
	}
}

// object returns the decompressed object of a kind that one side sends.
func (p *player) object(from byte, kind ObjectKind) []byte {
	var messages [][]byte
	for _, line := range p.script {
		if line.from == from {
			messages = append(messages, line.message)
		}
	}
	for _, o := range objects(p.t, messages) {
		if rest, ok := strings.CutPrefix(o, string(kind)+" "); ok {
			_, data, _ := strings.Cut(rest, " ")
			return []byte(data)
		}
	}
	p.t.Fatalf("the exchange has no %s", kind)
	return nil
}

// objects decodes messages into "kind size content", independently of ReadObject.
func objects(t *testing.T, messages [][]byte) []string {
	t.Helper()
	var found []string
	var header Header
	var data []byte
	for _, m := range messages {
		switch m[0] {
		case 'H':
			header, data = Header{}, nil
			if err := json.Unmarshal(m[1:], &header); err != nil || header.Encoding != "zstd" {
				t.Fatalf("header %q: %v", m, err)
			}
		case 'D':
			data = append(data, m[1:]...)
		case 'E':
			z, err := zstd.NewReader(nil)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := z.DecodeAll(data, nil)
			z.Close()
			if err != nil || int64(len(plain)) != header.Size {
				t.Fatalf("%s of %d bytes: %v, %d bytes", header.Kind, header.Size, err, len(plain))
			}
			found = append(found, fmt.Sprintf("%s %d %s", header.Kind, header.Size, plain))
		default:
			t.Fatalf("a message of the type %q", m[0])
		}
	}
	return found
}
