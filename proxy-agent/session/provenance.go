package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/provenance"
	"github.com/farforge/farforge/proxy-agent/build"
)

// built describes a build, without its artifacts.
type built struct {
	source            string // digest
	choice            *build.Choice
	command           []string
	started, finished time.Time // by this machine's clock
}

// firmware is the tree for the firmware channel: the artifacts and, at its root,
// the signed statement about them.
type firmware struct {
	artifacts *build.Artifacts
	added     map[string][]byte // by path
}

// attest makes and signs the statement about the artifacts.
func (j *job) attest(artifacts *build.Artifacts) (*firmware, error) {
	statement := provenance.Build{
		JobID: j.grant.JobID, User: j.grant.Subject, Agent: j.host.Key.Fingerprint(),
		Source: j.built.source, Recipe: j.built.choice.Recipe.Name, Target: j.built.choice.Target,
		Toolchain: j.built.choice.Recipe.Toolchain.Name, Version: j.built.choice.Version,
		Sandbox: j.host.Sandbox.Name(), Command: j.built.command,
		Started: j.built.started, Finished: j.built.finished,
		Cached:    j.cache != nil && j.cache.Warm(),
		Artifacts: artifacts.List, AgentBuild: j.host.Version,
	}
	data, err := statement.Marshal()
	if err != nil {
		return nil, err
	}
	signature, err := provenance.Sign(j.host.Key, data)
	if err != nil {
		return nil, fmt.Errorf("sign the provenance: %w", err)
	}
	return &firmware{artifacts: artifacts, added: map[string][]byte{
		provenance.FileName:      data,
		provenance.SignatureName: []byte(signature),
	}}, nil
}

// manifest lists the artifacts and the statement.
func (f *firmware) manifest() *channel.Manifest {
	m := f.artifacts.Manifest()
	for _, path := range []string{provenance.FileName, provenance.SignatureName} {
		sum := sha256.Sum256(f.added[path])
		m.Files = append(m.Files, channel.File{
			Path: path, Kind: channel.KindFile, Size: int64(len(f.added[path])), SHA256: hex.EncodeToString(sum[:]),
		})
	}
	return m
}

func (f *firmware) open(file channel.File) (io.ReadCloser, error) {
	if data, ok := f.added[file.Path]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return f.artifacts.OpenFile(file)
}
