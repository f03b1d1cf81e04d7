package server

import (
	"context"
	"log/slog"
	"regexp"
)

// addressForm matches IPv4 and IPv6 addresses, with or without brackets and
// port. It rather takes too much: a time of day such as 10:15:30 goes too.
var addressForm = regexp.MustCompile(
	`\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.%\w]*\](:\d+)?` +
		`|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b` +
		`|(?:\b[0-9A-Fa-f]{1,4})?(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(%\w+)?`)

// scrub replaces every address in s.
func scrub(s string) string { return addressForm.ReplaceAllString(s, "[address]") }

// scrubber is a handler for messages that others wrote: it takes the addresses
// out of them.
type scrubber struct {
	slog.Handler
	off bool
}

func (h scrubber) Handle(ctx context.Context, r slog.Record) error {
	if !h.off {
		r.Message = scrub(r.Message)
	}
	return h.Handler.Handle(ctx, r)
}
