package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/provenance"
	"github.com/farforge/farforge/proxy-agent/build"
)

// receive fills the workspace, by upload or by reference.
func (j *job) receive(ctx context.Context, ws *build.Workspace) error {
	if ref := j.request.Source; ref != nil {
		return j.fetch(ctx, ws, ref)
	}
	return j.upload(ctx, ws)
}

// upload receives the files from the client. ReceiveTree judges every path; the
// os.Root is a second barrier.
func (j *job) upload(ctx context.Context, ws *build.Workspace) error {
	m, err := j.channel(ctx, channel.LabelSource)
	if err != nil {
		return err
	}
	manifest, got, err := channel.ReceiveTree(ctx, m, &boundedSink{channel.NewDirSink(ws.Root), j.host.Disk}, nil)
	if err != nil {
		return err
	}
	j.built.source = provenance.SourceDigest(manifest)
	j.bytes = manifest.Size()
	j.log.Debug("received the source", "files", len(manifest.Files), "bytes", got.Bytes)
	return nil
}

// boundedSink refuses a project that is larger than a job may be.
type boundedSink struct {
	*channel.DirSink
	disk build.Disk
}

// Need implements channel.Sink.
func (b *boundedSink) Need(ctx context.Context, m *channel.Manifest) ([]string, error) {
	if err := checkDisk(m, b.disk); err != nil {
		return nil, err
	}
	return b.DirSink.Need(ctx, m)
}

func checkDisk(m *channel.Manifest, disk build.Disk) error {
	var message string
	switch {
	case disk.Bytes > 0 && m.Size() > disk.Bytes:
		message = fmt.Sprintf("the project holds %d MiB, and the agent gives a job %d", m.Size()>>20, disk.Bytes>>20)
	case disk.Files > 0 && len(m.Files) > disk.Files:
		message = fmt.Sprintf("the project has %d files, and the agent allows a job %d", len(m.Files), disk.Files)
	default:
		return nil
	}
	return &channel.Problem{Code: channel.ProblemSizeLimit, Message: message, Hints: []string{"keep what a build makes out of the project with an ignore file"}}
}

// fetch downloads the archive that the client named. The archive has a directory
// of its own, so no file of the project can collide with it.
func (j *job) fetch(ctx context.Context, ws *build.Workspace, ref *channel.Source) error {
	scratch, err := j.host.Workspaces.New()
	if err != nil {
		return err
	}
	manifest, err := j.host.Sources.Fetch(ctx, ref, scratch.Root, ws.Root)
	if err = errors.Join(err, scratch.Close()); err != nil {
		return err
	}
	j.built.source = ref.SHA256
	j.bytes = manifest.Size()
	j.log.Debug("fetched the source", "files", len(manifest.Files))
	return nil
}

// shorten keeps a client's text from filling the agent's log.
func shorten(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}
