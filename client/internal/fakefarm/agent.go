package fakefarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/peer"
	"github.com/farforge/farforge/common/provenance"
)

// timeout bounds every job, so that a broken test ends.
const timeout = time.Minute

// Session is one connection, the agent's end.
type Session struct {
	Conn    *peer.Conn
	Control channel.Messages
	// Build is the client's request.
	Build channel.Build
	// Dir is the folder into which Source puts the files.
	Dir string
	// Job and Key are the job's id and the agent's key.
	Job string
	Key *identity.Key
	// Canceled is closed when the client has sent cancel or closed the channel.
	Canceled chan struct{}

	hostile Hostile
	source  string // digest
}

func (b *Broker) work(conn *peer.Conn, now Settings, job string) error {
	ctx, cancel := context.WithTimeout(b.ctx, timeout)
	defer cancel()
	if err := conn.Connected(b.awaited); err != nil {
		return nil // the client gave up; the test knows whether it should
	}
	control, err := conn.Channel(ctx, channel.LabelControl)
	if err != nil {
		return nil
	}
	first, err := channel.ReadControl(ctx, control)
	if err != nil {
		return nil
	}
	if first.Type != channel.TypeBuild {
		return fmt.Errorf("the first message is a %s", first.Type)
	}
	dir, err := os.MkdirTemp("", "fakefarm-")
	if err != nil {
		return err
	}
	s := &Session{Conn: conn, Control: control, Build: *first.Build, Dir: dir, Job: job, Key: now.Key, Canceled: make(chan struct{}), hostile: now.Hostile}
	if s.Build.Source != nil {
		s.source = s.Build.Source.SHA256
	}
	reading, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.watch(reading) }()
	err = now.Agent(ctx, s)
	stop()
	return errors.Join(err, <-done, os.RemoveAll(dir))
}

// watch reads the client's next message.
func (s *Session) watch(ctx context.Context) error {
	defer close(s.Canceled)
	msg, err := channel.ReadControl(ctx, s.Control)
	if err == nil && msg.Type != channel.TypeCancel {
		return fmt.Errorf("the client sent a %s", msg.Type)
	}
	return nil
}

// Closed waits until the client has closed the connection.
func (s *Session) Closed(ctx context.Context) error {
	select {
	case <-s.Conn.Done():
		return nil
	case <-ctx.Done():
		return errors.New("the client did not close the connection")
	}
}

// Say sends control messages.
func (s *Session) Say(ctx context.Context, messages ...*channel.Message) error {
	for _, m := range messages {
		if err := channel.WriteControl(ctx, s.Control, m); err != nil {
			return err
		}
	}
	return nil
}

// End sends the result and waits for the client to close the connection.
func (s *Session) End(ctx context.Context, r channel.Result) error {
	if err := s.Say(ctx, &channel.Message{Type: channel.TypeResult, Result: &r}); err != nil {
		return err
	}
	return s.Closed(ctx)
}

// Source receives the project into Dir.
func (s *Session) Source(ctx context.Context) error {
	m, err := s.Conn.Channel(ctx, channel.LabelSource)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	manifest, _, err := channel.ReceiveTree(ctx, m, channel.NewDirSink(root), nil)
	if err == nil {
		s.source = provenance.SourceDigest(manifest)
	}
	return err
}

// attest adds the signed statement to the artifacts.
func (s *Session) attest(files map[string]string) error {
	if s.hostile.Unsigned {
		return nil
	}
	now := time.Now()
	b := &provenance.Build{
		JobID: s.Job, User: "user", Agent: s.Key.Fingerprint(), Source: s.source,
		Recipe: "make", Target: "esp32c3", Toolchain: "riscv64-unknown-elf-gcc", Version: "12.2.0",
		Sandbox: "bubblewrap", Command: []string{"make", "all"},
		Started: now.Add(-42 * time.Millisecond), Finished: now, Artifacts: Artifacts(files), AgentBuild: "v0",
	}
	if s.hostile.Statement != nil {
		s.hostile.Statement(b)
	}
	key := s.Key
	if s.hostile.Signs != nil {
		key = s.hostile.Signs
	}
	data, err := b.Marshal()
	if err != nil {
		return err
	}
	signature, err := provenance.Sign(key, data)
	files[provenance.FileName], files[provenance.SignatureName] = string(data), signature
	return err
}

// Firmware sends artifacts with a statement about them.
func (s *Session) Firmware(ctx context.Context, files map[string]string) error {
	m, err := s.Conn.Channel(ctx, channel.LabelFirmware)
	if err != nil {
		return err
	}
	files = maps.Clone(files)
	if err := s.attest(files); err != nil {
		return err
	}
	if s.hostile.Firmware != nil {
		s.hostile.Firmware(files)
	}
	manifest := &channel.Manifest{}
	for _, a := range Artifacts(files) {
		manifest.Files = append(manifest.Files, channel.File{Path: a.Path, Kind: channel.KindFile, Size: a.Size, SHA256: a.SHA256})
	}
	_, err = channel.SendTree(ctx, m, manifest, func(f channel.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(files[f.Path])), nil
	}, nil)
	return err
}

// Artifacts returns the list of files of a result.
func Artifacts(files map[string]string) []api.Artifact {
	var out []api.Artifact
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256([]byte(files[name]))
		out = append(out, api.Artifact{Path: name, Size: int64(len(files[name])), SHA256: hex.EncodeToString(sum[:])})
	}
	return out
}
