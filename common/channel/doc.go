// Package channel defines what travels on the data channels between a client
// and an agent. The broker never sees any of it.
//
// Every channel is reliable, ordered and labeled, and carries messages of at
// most [MaxMessage] bytes. An agent refuses any label that the grant does not
// list.
//
//	label     direction        what
//	espctl    both             control and logs: one JSON [Message] each
//	source    client to agent  a tree of files: the project
//	firmware  agent to client  a tree of files: the artifacts
//
// # A build on espctl
//
//	client                                  agent
//	  │ build ────────────────────────────────▶│
//	  │◀────────────────── stage: source ──────│   … files arrive on source
//	  │◀────────────────── stage: build ───────│
//	  │◀────────────────── log, log, log … ────│
//	  │◀────────────────── stage: artifacts ───│   … files leave on firmware
//	  │◀────────────────── result ─────────────│
//	  │ closes the connection                  │
//
// The client may send cancel at any time; the agent then kills the build and
// still sends a result. A problem message reports something that the agent
// refused, and the job goes on. The result ends the job.
//
// # A tree on source or firmware
//
//	sender                                receiver
//	  │ manifest: path, kind, size, hash ────▶│ validates every path
//	  │◀──── need: the hashes that it lacks ──│
//	  │ contents, in the order of need ──────▶│ checks every hash
//	  │◀──────────────────────── received ────│
//
// Each of the four is an object: a header message, data messages, an end
// message; see [WriteObject]. Data is compressed with zstd (RFC 8878).
//
// # Limits
//
// Both ends decode with limits, because either may be hostile. A peer's text is
// decoded by common/bounded: it is limited in bytes, elements, depth and length
// of strings. A manifest is limited in files, folders, depth and bytes of paths
// ([MaxFiles], [MaxDepth], [MaxPaths]), and it is decoded file by file. An object
// may be at most 256 times as long as its compressed form, plus 128 MiB. All
// work ends with its context.
package channel

import "context"

// Labels of the data channels.
const (
	LabelControl  = "espctl"
	LabelSource   = "source"
	LabelFirmware = "firmware"
)

// MaxMessage bounds one message on any channel, in bytes. It is what every
// WebRTC implementation accepts (RFC 8831, section 6.6).
const MaxMessage = 64 << 10

// Messages is one data channel. One goroutine may read while another writes.
type Messages interface {
	// ReadMessage returns the next message. Its bytes are valid until the next
	// call. It returns io.EOF when the other side has closed the channel, and
	// the context's error when the context ends first; no message is lost then.
	ReadMessage(ctx context.Context) ([]byte, error)
	// WriteMessage sends one message of at most MaxMessage bytes. It waits
	// while too much is buffered, so memory stays bounded. It does not keep
	// the slice.
	WriteMessage(ctx context.Context, message []byte) error
	// Close closes the channel and ends a read or write in progress.
	Close() error
}
