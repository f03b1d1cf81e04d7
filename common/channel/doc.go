// Package channel is what travels on the data channels between a client and an
// agent, one file for each kind of channel. The broker never sees any of it.
//
// Every channel is reliable, ordered and labelled, and carries messages of at
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
// The client may send cancel at any moment; the agent kills the build and
// still sends a result. A problem is a message about something that was
// refused and does not end the job; the result always does.
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
	// ReadMessage returns the next message, whose bytes are the reader's until
	// its next call. It returns io.EOF when the other
	// side has closed the channel, and the context's error when that ends
	// first; no message is lost by it.
	ReadMessage(ctx context.Context) ([]byte, error)
	// WriteMessage sends one message of at most MaxMessage bytes. It waits
	// while too much is buffered, so that memory stays bounded, and does not
	// keep the slice.
	WriteMessage(ctx context.Context, message []byte) error
	// Close closes the channel and ends a read or write in progress.
	Close() error
}
