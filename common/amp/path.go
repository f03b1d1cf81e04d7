package amp

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const (
	// Prefix is the path below which a broker serves requests through caches.
	Prefix = "/amp/"
	// MaxPath bounds a path, in characters: servers and caches accept URLs of 8000
	// (RFC 9110, section 4.1), of which the cache's own part takes some.
	MaxPath = 7600
	// segment bounds the part of the path between two slashes: caches on disk may
	// be limited to file names of 255.
	segment = 200
	// version is first, so that the rest may change.
	version = "0"
	// nonceLength is the length of a nonce's 9 bytes in base64.
	nonceLength = 12
)

// TooLong is the error for a request that does not fit into a path.
type TooLong struct{ Length int }

func (t *TooLong) Error() string {
	return fmt.Sprintf("the request does not fit through an AMP cache: it takes %d characters of path, and %d is the most", t.Length, MaxPath)
}

// EncodePath returns the path for a request. No two paths are the same.
func EncodePath(r *Request) (string, error) {
	if err := r.validate(); err != nil {
		return "", fmt.Errorf("AMP path: %w", err)
	}
	packed, err := pack(r)
	if err != nil {
		return "", fmt.Errorf("AMP path: %w", err)
	}
	nonce := make([]byte, base64.RawURLEncoding.DecodedLen(nonceLength))
	if _, err := rand.Read(nonce); err != nil {
		return "", fmt.Errorf("AMP path: %w", err)
	}
	path := Prefix + version + base64.RawURLEncoding.EncodeToString(nonce)
	for text := base64.RawURLEncoding.EncodeToString(packed); text != ""; {
		n := min(segment, len(text))
		path += "/" + text[:n]
		text = text[n:]
	}
	if len(path) > MaxPath {
		return "", &TooLong{len(path)}
	}
	return path, nil
}

// DecodePath returns the request in a path, however the path is cut into segments.
func DecodePath(path string) (*Request, error) {
	if len(path) > MaxPath {
		return nil, &TooLong{len(path)}
	}
	rest, ok := strings.CutPrefix(path, Prefix)
	if !ok {
		return nil, errors.New("AMP path: it does not begin with " + Prefix)
	}
	head, body, _ := strings.Cut(rest, "/")
	switch {
	case !strings.HasPrefix(head, version):
		return nil, errors.New("AMP path: its version is unknown")
	case len(head) != len(version)+nonceLength:
		return nil, errors.New("AMP path: it has no nonce")
	}
	packed, err := base64.RawURLEncoding.Strict().DecodeString(strings.ReplaceAll(body, "/", ""))
	if err != nil {
		return nil, fmt.Errorf("AMP path: %w", err)
	}
	var r Request
	if err := unpack(packed, &r); err != nil {
		return nil, fmt.Errorf("AMP path: %w", err)
	}
	return &r, nil
}
