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

// upload takes the files from the client. ReceiveTree judges every path; that the tree
// goes through an os.Root is the second wall.
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
	j.log.Info("received the source", "project", shorten(j.request.Project), "files", len(manifest.Files), "bytes", got.Bytes)
	return nil
}

// fetch gets the archive that the client named. It lies in a directory of its
// own, where nothing of the project can be.
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
	j.log.Info("fetched the source", "project", shorten(j.request.Project), "files", len(manifest.Files), "bytes", manifest.Size())
	return nil
}

// shorten keeps what a client calls its project from filling the agent's log.
func shorten(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}
