package session

import (
	"context"
	"errors"

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
	manifest, got, err := channel.ReceiveTree(ctx, m, channel.NewDirSink(ws.Root), nil)
	if err != nil {
		return err
	}
	j.built.source = provenance.SourceDigest(manifest)
	j.bytes = manifest.Size()
	j.log.Debug("received the source", "files", len(manifest.Files), "bytes", got.Bytes)
	return nil
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
